"""Compare the expectations of a scenario's steps with what happened."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devkit.scenarios.database_probe import ConversationSnapshot
from devkit.scenarios.environment import ScenarioEnvironment
from devkit.scenarios.loader import Scenario
from devkit.scenarios.model import RequestRecord
from devkit.scenarios.schema import Expect, ExpectedInterrupt, ExpectedModelUse, ExpectedToolCall, TextMatch
from devkit.scenarios.transcript import Transcript, elapsed


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met. `place` is its file and line."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass
class ExpectationChecker:
    """Checks each `expect` of a scenario against what happened since the last one.

    Without `exactly`, texts are not compared word for word, because a real model chooses its own words.
    """

    scenario: Scenario
    environment: ScenarioEnvironment
    transcript: Transcript
    exactly: bool
    _replies: int = 0
    _requests: int = 0

    async def failures(self, step: int, expect: Expect, *, since: float) -> list[Failure]:
        """Return what was not as expected. `since` is the loop's time when the step began, in virtual seconds."""
        requests = self.environment.model.requests(self._requests)
        replies = [message.body for message in self.environment.twilio.replies[self._replies :]]
        self._requests += len(requests)
        self._replies += len(replies)
        problems = [
            *self._check_replies(expect, replies),
            *self._check_time(expect, since),
            *_check_tools(expect, requests),
            *_check_model(expect.model, requests, self.environment.model.max_in_flight),
        ]
        problems += [problem async for problem in self._check_database(expect)]
        return [Failure(self.scenario.place("steps", step, "expect", name), what) for name, what in problems]

    def _check_replies(self, expect: Expect, replies: Sequence[str]) -> Iterator[tuple[str, str]]:
        if expect.no_reply and replies:
            yield "no_reply", f"expected no reply, got {_as_lines(replies)}"
        if expect.reply_count is not None and len(replies) != expect.reply_count:
            yield "reply_count", f"expected {expect.reply_count} replies, got {_as_lines(replies)}"
        name, wanted = ("reply", (expect.reply,)) if expect.reply else ("replies", expect.replies)
        if wanted is not None and not self._all_match(wanted, replies):
            yield name, f"expected {_as_lines([str(condition) for condition in wanted])}, got {_as_lines(replies)}"
        all_replies = [message.body for message in self.environment.twilio.replies]
        for condition in expect.never_said:
            if said := [text for text in all_replies if condition.matches(text)]:
                yield "never_said", f"expected that no reply matches {condition}, got {said[0]!r}"

    def _all_match(self, wanted: Sequence[TextMatch | None], replies: Sequence[str]) -> bool:
        return len(wanted) == len(replies) and all(
            condition is not None and condition.matches(text, exactly=self.exactly)
            for condition, text in zip(wanted, replies, strict=True)
        )

    def _check_time(self, expect: Expect, since: float) -> Iterator[tuple[str, str]]:
        last = max((line.at for line in self.transcript.said("assistant")), default=0.0)
        took = last + self.transcript.begins - since
        if expect.within is not None and took > expect.within:
            yield "within", f"expected the last reply within {elapsed(expect.within)}, it took {elapsed(took)}"

    async def _check_database(self, expect: Expect) -> AsyncIterator[tuple[str, str]]:
        conversation = await self.environment.probe.conversation() or ConversationSnapshot("none", None, None)
        for name, wanted, got in (
            ("status", expect.status, conversation.status),
            ("agent", expect.agent, conversation.agent),
        ):
            if wanted is not None and wanted != got:
                yield name, f"expected {wanted!r}, got {got!r}"
        if problem := _interrupt_problem(expect.interrupt, conversation.interrupt):
            yield "interrupt", problem
        for name, counts, got_counts in (
            ("messages", expect.messages, await self.environment.probe.count_messages()),
            ("effects", expect.effects, await self.environment.probe.count_effects()),
        ):
            if any(got_counts.get(what, 0) != count for what, count in counts.items()):
                yield name, f"expected {_as_counts(counts)}, got {_as_counts(got_counts)}"


def _interrupt_problem(wanted: ExpectedInterrupt | None, got: Mapping[str, Any] | None) -> str | None:
    if wanted is None:
        return None
    if wanted.kind == "none":
        is_met = got is None
    else:
        is_met = (
            got is not None
            and got.get("kind") == wanted.kind
            and (wanted.queue is None or got.get("queue") == wanted.queue)
            and (wanted.reason is None or wanted.reason.matches(str(got.get("reason", ""))))
        )
    return None if is_met else f"expected as interrupt: {wanted}; got {dict(got) if got else 'none'}"


def _check_tools(expect: Expect, requests: Sequence[RequestRecord]) -> Iterator[tuple[str, str]]:
    if expect.tools is None:
        return
    # The router's choice is a forced tool call. It is not a tool of the tenant.
    calls = [call for entry in requests if not entry["structured"] for call in entry["answer"]["tool_calls"]]
    is_met = len(calls) == len(expect.tools) and all(
        _is_expected_call(call, expected) for call, expected in zip(calls, expect.tools, strict=True)
    )
    if not is_met:
        wanted = [f"{expected.name} {expected.arguments}" for expected in expect.tools]
        yield (
            "tools",
            f"expected {_as_lines(wanted)}, got {_as_lines([f'{c["name"]} {c["arguments"]}' for c in calls])}",
        )


def _is_expected_call(call: Mapping[str, Any], expected: ExpectedToolCall) -> bool:
    given = call["arguments"] if isinstance(call["arguments"], dict) else {}
    return call["name"] == expected.name and all(given.get(name) == value for name, value in expected.arguments.items())


def _check_model(
    wanted: ExpectedModelUse | None, requests: Sequence[RequestRecord], at_once: int
) -> Iterator[tuple[str, str]]:
    if wanted is None:
        return
    if wanted.requests is not None and len(requests) != wanted.requests:
        yield "model", f"expected {wanted.requests} requests to the model, got {len(requests)}"
    if wanted.at_once is not None and at_once > wanted.at_once:
        yield "model", f"expected at most {wanted.at_once} requests to the model at once, got {at_once}"
    agents = [entry for entry in requests if not entry["structured"]]
    seen = [message["text"] for message in agents[-1]["messages"] if message["role"] != "system"] if agents else []
    for condition in wanted.sees:
        if not any(condition.matches(text) for text in seen):
            yield "model", f"expected that the model sees {condition}, it saw {_as_lines(seen)}"
    for condition in wanted.never_sees:
        if any(condition.matches(text) for text in seen):
            yield "model", f"expected that the model does not see {condition}, it saw {_as_lines(seen)}"


def _as_lines(texts: Sequence[str]) -> str:
    return "".join(f"\n      - {text!r}" for text in texts) or "nothing"


def _as_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
