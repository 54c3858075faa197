"""`python -m bench.chaos` breaks every part of a running system while contacts write, and counts what went wrong."""

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import lifecycle, report
from bench.chaos import evidence, oracle
from bench.chaos.evidence import Rows, Watcher
from bench.chaos.oracle import Violation
from bench.chaos.senders import Senders, Sent
from bench.chaos.store import Store, store
from bench.chaos.storm import Storm, Toll
from bench.control import Control
from bench.script import Written, write
from bench.system import TENANT, Plan, System, system
from bench.traffic import Poster, contact_address
from devkit.stack import Number
from manifest.folder import load_folder

SECONDS_PER_KILL = 2.4
"""How long the contacts write, for each kill that is asked for."""
KILLS_WITHIN = 60.0
"""Seconds for the kills still owed when everything has been written."""
QUIET_WITHIN = 120.0
FOLDING_EVERY = 4
"""Every so many contacts one writes to the tenant that debounces."""

SETTINGS = {
    # Here workers die for no fault of a turn's, so that one is tried again more often than in production.
    "RECADO_TURN_ATTEMPTS": "50",
    "RECADO_SEND_TIMEOUT": "1.5",
    "RECADO_UNKNOWN_WINDOW": "60",
    "RECADO_TURN_TIMEOUT": "30",
}
TENANT_EDITS = {"timeout: 20s": "timeout: 4s"}
MODEL_FAULTS = {
    "latency_ms": 400,
    "jitter_ms": 350,
    "p_429": 0.002,
    "p_500": 0.004,
    "p_drop": 0.002,
    "p_garbage": 0.002,
}
TWILIO_FAULTS: dict[str, dict[str, float]] = {
    "create": {
        "p_429": 0.02,
        "p_500": 0.01,
        "p_500_after": 0.02,
        "p_drop": 0.02,
        "p_refuse": 0.02,
        "p_hang": 0.005,
        "hang_s": 5,
    },
    # Many are dropped: a callback tells what became of an unanswered post, and the look at Twilio's list would rest.
    "callbacks": {"p_duplicate": 0.10, "p_drop": 0.50, "p_reorder": 0.10},
    "list": {"p_500": 0.10},
}


@dataclass(frozen=True)
class Size:
    """How big a run is."""

    messages: int
    kills: int
    contacts: int
    workers: int
    seed: int

    @property
    def seconds(self) -> float:
        """How long the contacts write."""
        return self.kills * SECONDS_PER_KILL


SMALL = {"messages": 300, "kills": 20, "contacts": 20}


@dataclass(frozen=True)
class Outcome:
    """All that a run has seen."""

    sent: Sent
    toll: Toll
    rows: Rows
    faults: Mapping[str, Any]
    violations: Sequence[Violation]
    delays: Sequence[float]
    storm_seconds: float
    quiet_after: float | None

    @property
    def wrong(self) -> bool:
        """Whether any promise was broken."""
        rows = any(self.rows.wrong.values())
        return bool(self.violations or rows or self.sent.refused or self.quiet_after is None)


class Run:
    """One run against a running system."""

    def __init__(self, made: System, opened: Store, model: Control, twilio: Control, size: Size) -> None:
        self._system = made
        self._store = opened
        self._model = model
        self._twilio = twilio
        self._size = size
        self._watcher = Watcher(twilio)
        self._poster = Poster(made.addresses["api"])
        self._senders = Senders(self._poster, self._number, size.seed, self._watcher.answered)
        self._watching: asyncio.Task[None] | None = None
        self.storm = Storm(made, opened, size.kills, size.seed, self._progress)

    async def go(self, script: Sequence[Sequence[Written]]) -> Outcome:
        """The storm, the calm, and the verdict."""
        await self._model.post("faults", {**MODEL_FAULTS, "seed": self._size.seed})
        await self._twilio.post("faults", {**TWILIO_FAULTS, "seed": self._size.seed})
        self._watching = asyncio.create_task(self._watcher.watch())
        began = time.monotonic()
        self.storm.start()
        await self._senders.run(script)
        await self._owed_kills()
        await self.storm.cease()
        stormed = time.monotonic() - began
        faults = {"model": await self._model.get("faults"), "twilio": await self._twilio.get("faults")}
        await self._model.post("faults", {"latency_ms": 50})
        await self._twilio.post("faults", {})
        quiet_after = await evidence.quiet(self._store, QUIET_WITHIN)
        await self._stop_watching()
        await self._watcher.look()
        rows = await evidence.collect(self._store, load_folder(TENANT).assistant.apology)
        violations = self._judge(script, rows)
        sent, toll = self._senders.sent, self.storm.toll
        delays = sorted(
            reply.accepted_at - rows.committed[reply.row]
            for reply in self._watcher.delivered
            if reply.row in rows.committed
        )
        return Outcome(sent, toll, rows, faults, violations, delays, stormed, quiet_after)

    async def close(self) -> None:
        """Ends the storm, so that what was started can be ended."""
        await self._stop_watching()
        await self.storm.close()
        self._poster.close()

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _number(self, contact: int) -> Number:
        folding = contact % FOLDING_EVERY == FOLDING_EVERY - 1
        return self._system.folding_number if folding else self._system.number

    def _progress(self) -> float:
        return len(self._senders.sent.acknowledged) / self._size.messages

    async def _owed_kills(self) -> None:
        deadline = time.monotonic() + KILLS_WITHIN
        while self.storm.toll.kills < self._size.kills and time.monotonic() < deadline:
            await asyncio.sleep(0.2)

    def _judge(self, script: Sequence[Sequence[Written]], rows: Rows) -> list[Violation]:
        acknowledged = self._senders.sent.acknowledged
        written = {
            contact_address(messages[0].contact): [m.token for m in messages if m.token in acknowledged]
            for messages in script
            if messages
        }
        excused = {body.partition(" ")[0] for body in rows.excused}
        asked = {
            message.booking: contact_address(message.contact)
            for messages in script
            for message in messages
            if message.booking and message.token in acknowledged and message.token not in excused
        }
        return [
            *oracle.judge(written, self._watcher.delivered, excused),
            *oracle.judge_bookings(asked, rows.appointments, rows.journal),
        ]


async def chaos(folder: Path, size: Size) -> Outcome:
    """A whole run, from nothing to the verdict; evidence of what went wrong is left in the folder."""
    script = write(size.messages, size.contacts, size.seconds, size.seed, datetime.now(UTC).date())
    plan = Plan(workers=size.workers, settings=SETTINGS, tenant_edits=TENANT_EDITS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lifecycle.until_terminated())
        made = await stack.enter_async_context(system(folder, plan))
        opened = await stack.enter_async_context(store(made.servers.databases, made.servers.redis_url))
        model = await stack.enter_async_context(Control(made.addresses["model"]))
        twilio = await stack.enter_async_context(Control(made.addresses["twilio"]))
        run = Run(made, opened, model, twilio, size)
        stack.push_async_callback(run.close)
        try:
            outcome = await run.go(script)
        finally:
            (folder / "logs" / "storm.log").write_text("\n".join(run.storm.events) + "\n")
        if outcome.wrong:
            await _leave_evidence(folder / "logs", opened, twilio, outcome)
        return outcome


async def _leave_evidence(logs: Path, opened: Store, twilio: Control, outcome: Outcome) -> None:
    unclean = [Violation(check, row["address"], str(row)) for check, rows in outcome.rows.wrong.items() for row in rows]
    found = {
        "violations": [vars(violation) for violation in [*outcome.violations, *unclean]],
        "contacts": await evidence.about(opened, [*outcome.violations, *unclean]),
        "twilio": await twilio.get("messages", direction="outbound"),
    }
    (logs / "evidence.json").write_text(json.dumps(found, indent=1, ensure_ascii=False, default=str))


def show(outcome: Outcome) -> str:
    """The tables: what was done, and what went wrong."""
    sent, toll, rows = outcome.sent, outcome.toll, outcome.rows
    quiet_after = "not quiet in time" if outcome.quiet_after is None else f"{outcome.quiet_after:.1f} s"
    done = [
        ("messages written, acknowledged", f"{sent.messages}, {len(sent.acknowledged)}"),
        ("webhooks posted", f"{sent.posts}, of these {sent.retries} retries and {sent.repeats} duplicates"),
        ("turns", f"{rows.turns}, of these {rows.taken_again} taken more than once, one {rows.most_attempts} times"),
        ("replies at Twilio", f"{len(outcome.delays)}"),
        ("  seconds after their commit", _percentiles(outcome.delays)),
        ("bookings", f"{len(rows.appointments)}"),
        ("kills", f"{toll.kills} in {outcome.storm_seconds:.0f} s"),
        *((f"  kill -9: {name}", f"{count}") for name, count in sorted(toll.external.items())),
        *((f"  at milestone: {name}", f"{count}") for name, count in toll.milestones.most_common()),
        ("redis flushed", f"{toll.flushes}"),
        ("connections to Postgres cut", _counts(toll.cuts) or "none"),
        ("starts that failed", _counts(toll.failed_starts) or "none"),
        ("faults of the model", f"{outcome.faults['model']['injected']}"),
        *((f"faults of Twilio: {name}", _counts(part["applied"])) for name, part in _sections(outcome.faults)),
        ("quiet after", quiet_after),
    ]
    counts = evidence.tally(outcome.violations)
    wrong = [(kind, "0", f"{counts[kind]}") for kind in oracle.KINDS]
    wrong += [(check, "0", f"{len(found)}") for check, found in rows.wrong.items()]
    wrong += [("webhooks refused", "0", f"{len(sent.refused)}")]
    return report.table(("what", ""), done) + "\n\n" + report.table(("what", "wanted", "found"), wrong)


def _percentiles(delays: Sequence[float]) -> str:
    if not delays:
        return "none"
    p50, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:.2f}, p99 {p99:.1f}, most {delays[-1]:.1f}"


def _sections(faults: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, faults["twilio"][name]) for name in TWILIO_FAULTS]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _explain(outcome: Outcome) -> None:
    for violation in outcome.violations[:30]:
        click.echo(f"{violation.kind}: {violation.contact}: {violation.what}")
    for check, rows in outcome.rows.wrong.items():
        for row in rows[:5]:
            click.echo(f"{check}: {row}")
    for refused in outcome.sent.refused[:5]:
        click.echo(f"webhook refused: {refused}")


@click.command()
@click.option("--messages", default=2000, show_default=True, type=click.IntRange(1), help="Messages to write.")
@click.option("--kills", default=100, show_default=True, type=click.IntRange(1), help="Kills, at least.")
@click.option("--contacts", default=60, show_default=True, type=click.IntRange(1), help="Contacts that write.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="Worker processes.")
@click.option("--seed", default=1, show_default=True, help="Draws messages, faults and kills.")
@click.option("--small", is_flag=True, help=f"A minute and a half, for CI: {SMALL['messages']} messages.")
@click.option("--keep", is_flag=True, help="Keep the logs even if nothing went wrong.")
def command(messages: int, kills: int, contacts: int, workers: int, seed: int, small: bool, keep: bool) -> None:
    """Kill everything, over and over, while contacts write; then look for messages lost, doubled or out of order."""
    size = Size(messages, kills, contacts, workers, seed)
    if small:
        size = Size(workers=workers, seed=seed, **SMALL)
    # That connections break here is no news.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="recado-chaos-"))
    began, outcome = time.monotonic(), None
    try:
        with lifecycle.disposable(folder):
            outcome = uvloop.run(chaos(folder, size))
    finally:
        if keep or outcome is None or outcome.wrong:
            click.echo(f"logs: {folder / 'logs'}")
        else:
            lifecycle.remove(folder)
    click.echo(show(outcome))
    click.echo(f"\nseed {seed}, {time.monotonic() - began:.0f} s in all")
    if outcome.wrong:
        _explain(outcome)
        sys.exit(1)


def main() -> None:
    """Runs the command. Exit codes: 0 nothing went wrong, 1 something did, or did not start."""
    lifecycle.to_the_end(command)


if __name__ == "__main__":
    main()
