"""What a turn costs early and late in a conversation: CPU, round trips to Postgres, bytes stored."""

import asyncio
import sys
import time
from dataclasses import dataclass

from bench.load.closed_loop import Stalled, Talk
from bench.load.context import Lab
from bench.measures.replies import ours, per_reply, split_up
from bench.report import Row, at_most

EARLY, LATE = 10, 400

STORED = """
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
COMMITTED = "select xact_commit::float8 as n from pg_stat_database where datname = current_database()"
NEXT_XID = "select pg_snapshot_xmax(pg_current_snapshot())::text::float8 as n"


@dataclass(frozen=True)
class Window:
    """Some turns around one point of the conversations. Bytes are those stored per conversation."""

    cpu: dict[str, float]
    bytes: float


async def growth(lab: Lab) -> list[Row]:
    """The same contacts at turn 10 and at turn 400."""
    await lab.ready(workers=1)
    idle = await _idle_commits(lab)
    talk, contacts = lab.talk(), lab.scaled(16, 6)
    early = await _window(lab, talk, contacts, EARLY)
    between = LATE - EARLY - 20
    commits, xids, began = await lab.store.value(COMMITTED), await lab.store.value(NEXT_XID), time.perf_counter()
    await talk.rounds(range(contacts), between)
    turns, elapsed = between * contacts, time.perf_counter() - began
    writes = (await lab.store.value(NEXT_XID) - xids) / turns
    trips = (await lab.store.value(COMMITTED) - commits - idle * elapsed) / turns
    late = await _window(lab, talk, contacts, LATE)
    notes = f"without the webhook's; {writes - 1:.2f} of them write"
    stored = f"{early.bytes:,.0f} and {late.bytes:,.0f} bytes; the window of 20 messages is full from turn 10 on"
    return [
        *_cpu_rows(early.cpu, late.cpu, await model_client_ms(lab)),
        *_stock_rows(early.cpu["worker-1"], await stock_ms(lab)),
        at_most("round trips to Postgres per turn", 3.0, round(trips - 1, 1), "", notes),
        at_most("bytes stored per conversation, turn 400 / turn 10", 1.6, late.bytes / early.bytes, "x", stored),
    ]


def _cpu_rows(early: dict[str, float], late: dict[str, float], client: float) -> list[Row]:
    own, later = early["worker-1"] - client, late["worker-1"] - client
    notes = f"worker {early['worker-1']:.2f} ms less {client:.2f} ms of the model client"
    return [
        at_most("turn, own CPU without the model client", 3.0, own, "ms", notes, client_ms=client),
        at_most("… at turn 400, against turn 10", 1.1, later / own, "x", f"{later:.2f} ms"),
        at_most("CPU of our processes per reply, turn 10", 5.0, ours(early), "ms", split_up(early), **early),
        at_most("CPU of our processes per reply, turn 400", 5.5, ours(late), "ms", split_up(late), **late),
    ]


def _stock_rows(worker: float, stock: list[float]) -> list[Row]:
    early, late = stock
    notes = f"stock parts: {early:.2f} ms, at turn 100 {late:.2f} ms; they store no message and send no reply"
    return [
        at_most("CPU of the worker per reply, against a bare AsyncPostgresSaver's", 1.0, worker / early, "x", notes)
    ]


async def _window(lab: Lab, talk: Talk, contacts: int, turn: int) -> Window:
    """Twenty turns with `turn` in their middle, begun ten turns before it."""
    if turn == EARLY:
        await talk.rounds(range(contacts), 1)
    before = lab.system.cpu()
    await talk.rounds(range(contacts), 19 if turn == EARLY else 20)
    cpu = per_reply(before, lab.system.cpu(), contacts * (19 if turn == EARLY else 20))
    await lab.calm()
    return Window(cpu, float(await lab.store.value(STORED, turn=turn)))


async def _idle_commits(lab: Lab) -> float:
    """Commits per second of a system with nothing to do: its sweeps, its heartbeat, its timers."""
    before, began = await lab.store.value(COMMITTED), time.perf_counter()
    await asyncio.sleep(lab.scaled(5, 2))
    return float(await lab.store.value(COMMITTED) - before) / (time.perf_counter() - began)


async def model_client_ms(lab: Lab) -> float:
    """CPU of one call through the model client alone, measured in a process of its own."""
    (found,) = await _alone(lab, "client", f"{lab.system.addresses['model']}/v1")
    return found


async def stock_ms(lab: Lab) -> list[float]:
    """CPU of a turn by stock parts, early and late in a conversation."""
    return await _alone(lab, "stock", f"{lab.system.addresses['model']}/v1", lab.system.servers.databases.owner)


async def _alone(lab: Lab, module: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-m", f"bench.measures.{module}", *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=lab.system.environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise Stalled(f"bench.measures.{module} could not be measured")
    return [float(part) for part in output.split()]
