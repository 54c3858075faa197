"""The cost of a turn early and late in a conversation: CPU, statements to Postgres, stored bytes."""

import asyncio
import sys
import time
from dataclasses import dataclass

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import ClosedLoop, MeasurementFailed
from bench.measures.cpu_per_reply import cpu_ms_per_reply, format_cpu_ms, recado_cpu_ms
from bench.report import ReportRow, at_most

EARLY_TURN, LATE_TURN = 10, 400

STORED_BYTES = """
    select avg(bytes)::float8 as bytes from (
        select c.id, sum(s.bytes) as bytes
        from conversations c
        join (
            select thread_id, pg_column_size(checkpoints.*) as bytes from checkpoints
            union all select thread_id, pg_column_size(checkpoint_blobs.*) from checkpoint_blobs
            union all select thread_id, pg_column_size(checkpoint_writes.*) from checkpoint_writes
        ) s on s.thread_id = c.id::text
        where c.turn >= %(turn)s
        group by c.id
    ) conversations
"""
"""The mean size of a conversation's checkpoint."""
COMMITS = "select xact_commit::float8 as n from pg_stat_database where datname = current_database()"
"""The number of transactions since the start of Postgres. Each round trip of a turn is one transaction."""
NEXT_TRANSACTION_ID = "select pg_snapshot_xmax(pg_current_snapshot())::text::float8 as n"
"""Grows by one for every transaction that writes."""


@dataclass(frozen=True)
class TurnCost:
    """The milliseconds of CPU per reply of each process, and the mean bytes stored per conversation."""

    cpu_ms: dict[str, float]
    stored_bytes: float


@dataclass(frozen=True)
class RoundTrips:
    """The round trips to Postgres per turn, and how many of them write. Both include the webhook's one."""

    all: float
    writing: float


async def long_conversation(context: BenchContext) -> list[ReportRow]:
    """Compare the costs of the same conversations around turn 10 and around turn 400."""
    await context.restart(workers=1)
    idle_commits = await _measure_idle_commits(context)
    loop, contacts = context.new_closed_loop(), context.size(16, 6)
    early = await _measure_turns(context, loop, contacts, EARLY_TURN)
    trips = await _measure_round_trips(context, loop, contacts, idle_commits)
    late = await _measure_turns(context, loop, contacts, LATE_TURN)
    trips_notes = f"without the webhook's; {trips.writing - 1:.2f} of them write"
    bytes_notes = (
        f"{early.stored_bytes:,.0f} and {late.stored_bytes:,.0f} bytes; "
        "the 20 messages that a checkpoint keeps are complete from turn 10 on"
    )
    return [
        *_cpu_rows(early.cpu_ms, late.cpu_ms, await _measure_model_client(context)),
        *_baseline_rows(early.cpu_ms["worker-1"], await _measure_baseline(context)),
        at_most("round trips to Postgres per turn", 3.0, round(trips.all - 1, 1), "", trips_notes),
        at_most(
            "bytes stored per conversation, turn 400 / turn 10",
            1.6,
            late.stored_bytes / early.stored_bytes,
            "x",
            bytes_notes,
        ),
    ]


def _cpu_rows(early: dict[str, float], late: dict[str, float], client_ms: float) -> list[ReportRow]:
    own_early, own_late = early["worker-1"] - client_ms, late["worker-1"] - client_ms
    early_notes = f"worker {early['worker-1']:.2f} ms, minus {client_ms:.2f} ms of the model client"
    late_notes = f"{own_late:.2f} ms at turn 400"
    name = "CPU of the worker per turn, without the model client"
    return [
        at_most(f"{name}, turn 10", 3.0, own_early, "ms", early_notes, client_ms=client_ms),
        at_most(f"{name}, turn 400 / turn 10", 1.1, own_late / own_early, "x", late_notes),
        at_most(
            "CPU of API, worker and scheduler per reply, turn 10",
            5.0,
            recado_cpu_ms(early),
            "ms",
            format_cpu_ms(early),
            **early,
        ),
        at_most(
            "CPU of API, worker and scheduler per reply, turn 400",
            5.5,
            recado_cpu_ms(late),
            "ms",
            format_cpu_ms(late),
            **late,
        ),
    ]


def _baseline_rows(worker_ms: float, baseline_ms: list[float]) -> list[ReportRow]:
    early, late = baseline_ms
    name = "CPU of the worker per reply / CPU of plain LangGraph"
    notes = (
        f"LangGraph with AsyncPostgresSaver: {early:.2f} ms at turn 10, {late:.2f} ms at turn 100; "
        "it stores no messages and sends no replies"
    )
    return [at_most(name, 1.0, worker_ms / early, "x", notes)]


async def _measure_turns(context: BenchContext, loop: ClosedLoop, contacts: int, turn: int) -> TurnCost:
    """Return the cost of the twenty turns around `turn`. The conversations must be ten turns before it, or new."""
    turns = 20
    if turn == EARLY_TURN:
        # The first turn of a conversation costs more than the others, and is not measured.
        await loop.run_rounds(range(contacts), 1)
        turns = 19
    before = context.stack.cpu_seconds()
    await loop.run_rounds(range(contacts), turns)
    cpu_ms = cpu_ms_per_reply(before, context.stack.cpu_seconds(), contacts * turns)
    await context.wait_until_idle()
    return TurnCost(cpu_ms, float(await context.storage.fetch_value(STORED_BYTES, turn=turn)))


async def _measure_round_trips(
    context: BenchContext, loop: ClosedLoop, contacts: int, idle_commits: float
) -> RoundTrips:
    """Run the turns between the early and the late ones, and return their mean round trips."""
    rounds = LATE_TURN - EARLY_TURN - 20
    commits = await context.storage.fetch_value(COMMITS)
    transaction_id = await context.storage.fetch_value(NEXT_TRANSACTION_ID)
    started = time.perf_counter()
    await loop.run_rounds(range(contacts), rounds)
    turns, elapsed = rounds * contacts, time.perf_counter() - started
    writing = (await context.storage.fetch_value(NEXT_TRANSACTION_ID) - transaction_id) / turns
    commits = await context.storage.fetch_value(COMMITS) - commits
    return RoundTrips((commits - idle_commits * elapsed) / turns, writing)


async def _measure_idle_commits(context: BenchContext) -> float:
    """Return the commits per second of a system without messages: those of sweeps, leases and timers."""
    before, started = await context.storage.fetch_value(COMMITS), time.perf_counter()
    await asyncio.sleep(context.size(5, 2))
    return float(await context.storage.fetch_value(COMMITS) - before) / (time.perf_counter() - started)


async def _measure_model_client(context: BenchContext) -> float:
    """Return the milliseconds of CPU of one call of the model client."""
    (call_ms,) = await _run_program(context, "model_client_cpu", f"{context.stack.addresses['model']}/v1")
    return call_ms


async def _measure_baseline(context: BenchContext) -> list[float]:
    """Return the milliseconds of CPU per turn of plain LangGraph, at turn 10 and at turn 100."""
    urls = f"{context.stack.addresses['model']}/v1", context.stack.servers.databases.owner
    return await _run_program(context, "langgraph_baseline", *urls)


async def _run_program(context: BenchContext, module: str, *arguments: str) -> list[float]:
    """Run a module of this package in a process of its own, and return the numbers that it prints."""
    command = [sys.executable, "-m", f"bench.measures.{module}", *arguments]
    environment = context.stack.environment
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise MeasurementFailed(f"bench.measures.{module} ended with {process.returncode}; its error is printed above")
    return [float(part) for part in output.split()]
