"""What a scenario expects, held against what there is."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devkit.scenarios.db_probe import Standing
from devkit.scenarios.environment import Stage
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import Request
from devkit.scenarios.schema import Expect, InterruptWanted, ModelUse, ToolUse, Words
from devkit.scenarios.transcript import Transcript, elapsed


@dataclass(frozen=True)
class Failure:
    """`place`: file and line of what was expected."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass
class Checks:
    """Looks from one `expect` to the next. Not `exactly`: texts may be worded otherwise, as a real model words them."""

    scenario: Scenario
    stage: Stage
    transcript: Transcript
    exactly: bool
    _replies: int = 0
    _requests: int = 0

    async def failures(self, step: int, expect: Expect, *, since: float) -> list[Failure]:
        """What is not as expected. `since`: the loop's time when the step happened that is looked at."""
        asked = self.stage.model.requests(self._requests)
        fresh = [message.body for message in self.stage.phone.replies[self._replies :]]
        self._requests += len(asked)
        self._replies += len(fresh)
        found = [
            *self._of_replies(expect, fresh),
            *self._of_time(expect, since),
            *_of_tools(expect, asked),
            *_of_model(expect.model, asked, self.stage.model.most_at_once),
        ]
        found += [problem async for problem in self._of_records(expect)]
        return [Failure(self.scenario.place("steps", step, "expect", name), what) for name, what in found]

    def _of_replies(self, expect: Expect, fresh: Sequence[str]) -> Iterator[tuple[str, str]]:
        if expect.no_reply and fresh:
            yield "no_reply", f"expected no reply, got {_listed(fresh)}"
        if expect.reply_count is not None and len(fresh) != expect.reply_count:
            yield "reply_count", f"expected {expect.reply_count} replies, got {_listed(fresh)}"
        name, wanted = ("reply", (expect.reply,)) if expect.reply else ("replies", expect.replies)
        if wanted is not None and not self._fit(wanted, fresh):
            yield name, f"expected {_listed([str(words) for words in wanted])}, got {_listed(fresh)}"
        everything = [message.body for message in self.stage.phone.replies]
        for words in expect.never_said:
            if said := [text for text in everything if words.fit(text)]:
                yield "never_said", f"expected that nobody says {words}, got {said[0]!r}"

    def _fit(self, wanted: Sequence[Words | None], fresh: Sequence[str]) -> bool:
        return len(wanted) == len(fresh) and all(
            words is not None and words.fit(text, exactly=self.exactly)
            for words, text in zip(wanted, fresh, strict=True)
        )

    def _of_time(self, expect: Expect, since: float) -> Iterator[tuple[str, str]]:
        last = max((line.at for line in self.transcript.said("assistant")), default=0.0)
        took = last + self.transcript.begins - since
        if expect.within is not None and took > expect.within:
            yield "within", f"expected the last reply within {elapsed(expect.within)}, it took {elapsed(took)}"

    async def _of_records(self, expect: Expect) -> AsyncIterator[tuple[str, str]]:
        standing = await self.stage.ledger.standing() or Standing("none", None, None)
        for name, wanted, got in (
            ("status", expect.status, standing.status),
            ("agent", expect.agent, standing.agent),
        ):
            if wanted is not None and wanted != got:
                yield name, f"expected {wanted!r}, got {got!r}"
        if problem := _interrupt_problem(expect.interrupt, standing.interrupt):
            yield "interrupt", problem
        for name, counts, found in (
            ("messages", expect.messages, await self.stage.ledger.dispositions()),
            ("effects", expect.effects, await self.stage.ledger.effects()),
        ):
            if any(found.get(what, 0) != count for what, count in counts.items()):
                yield name, f"expected {_counted(counts)}, got {_counted(found)}"


def _interrupt_problem(wanted: InterruptWanted | None, got: Mapping[str, Any] | None) -> str | None:
    if wanted is None:
        return None
    if wanted.kind == "none":
        fits = got is None
    else:
        fits = (
            got is not None
            and got.get("kind") == wanted.kind
            and (wanted.queue is None or got.get("queue") == wanted.queue)
            and (wanted.reason is None or wanted.reason.fit(str(got.get("reason", ""))))
        )
    return None if fits else f"expected as interrupt: {wanted}; got {dict(got) if got else 'none'}"


def _of_tools(expect: Expect, asked: Sequence[Request]) -> Iterator[tuple[str, str]]:
    if expect.tools is None:
        return
    # The router's forced choice is a tool to the wire only.
    calls = [call for entry in asked if not entry["structured"] for call in entry["answer"]["tool_calls"]]
    fits = len(calls) == len(expect.tools) and all(
        _is_use(call, use) for call, use in zip(calls, expect.tools, strict=True)
    )
    if not fits:
        wanted = [f"{use.name} {use.arguments}" for use in expect.tools]
        yield "tools", f"expected {_listed(wanted)}, got {_listed([f'{c["name"]} {c["arguments"]}' for c in calls])}"


def _is_use(call: Mapping[str, Any], use: ToolUse) -> bool:
    given = call["arguments"] if isinstance(call["arguments"], dict) else {}
    return call["name"] == use.name and all(given.get(name) == value for name, value in use.arguments.items())


def _of_model(wanted: ModelUse | None, asked: Sequence[Request], at_once: int) -> Iterator[tuple[str, str]]:
    if wanted is None:
        return
    if wanted.requests is not None and len(asked) != wanted.requests:
        yield "model", f"expected {wanted.requests} requests to the model, got {len(asked)}"
    if wanted.at_once is not None and at_once > wanted.at_once:
        yield "model", f"expected at most {wanted.at_once} requests to the model at once, got {at_once}"
    agents = [entry for entry in asked if not entry["structured"]]
    seen = [message["text"] for message in agents[-1]["messages"] if message["role"] != "system"] if agents else []
    for words in wanted.sees:
        if not any(words.fit(text) for text in seen):
            yield "model", f"expected that the model sees {words}, it saw {_listed(seen)}"
    for words in wanted.never_sees:
        if any(words.fit(text) for text in seen):
            yield "model", f"expected that the model does not see {words}, it saw {_listed(seen)}"


def _listed(texts: Sequence[str]) -> str:
    return "".join(f"\n      - {text!r}" for text in texts) or "nothing"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
