"""The delay of one tenant's turns and replies while another tenant has thousands of waiting conversations."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import LiteralString

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import ClosedLoop, check_acknowledged
from bench.report import ReportRow, at_most, percentile
from bench.webhook_client import contact_address

DEBOUNCE_MS = 300
"""The debounce of the quiet tenant. It is part of every latency, and no delay."""
QUIET_CONTACTS = 20
PAUSE = 0.1
"""Seconds between two messages of the quiet tenant."""
NOISY_CONNECTIONS = 16
NOISY_CONTACTS_FROM = 200_000
START_DELAYS: LiteralString = """
select 1000 * extract(epoch from t.claimed_at - max(i.received_at))::float8 as ms
from turns t
join inbox i on i.conversation_id = t.conversation_id and i.turn = t.turn
join conversations c on c.id = t.conversation_id
join channels on channels.id = c.channel_id
where channels.address = %(address)s
group by t.conversation_id, t.turn, t.claimed_at order by t.claimed_at
"""
"""The milliseconds from a tenant's messages to the claims of their turns, by Postgres's clock."""
WAITING: LiteralString = """
select 1 from conversations c join channels on channels.id = c.channel_id
where c.pending > 0 and channels.address = %(address)s limit 1
"""


async def noisy_neighbour(context: BenchContext) -> list[ReportRow]:
    """Compare the delay of a tenant's replies, alone and beside a tenant that wrote thousands of messages at once."""
    await context.restart(workers=1)
    quiet = context.new_closed_loop(context.stack.debounced_number)
    await quiet.run_rounds(range(QUIET_CONTACTS), 2)
    warm = len(await _start_delays(context))
    idle = await _delays(quiet, context.size(100, 40), until=None)
    idle_starts = (await _start_delays(context))[warm:]
    messages = context.size(10_000, 1_500)
    noise = asyncio.create_task(_make_noise(context, messages))
    beside = await _delays(quiet, 10_000, until=noise)
    await noise
    beside_starts = (await _start_delays(context))[warm + len(idle_starts) :]
    whose = f"beside a tenant with {messages:,} waiting messages / allowed"
    return [
        _row(f"p95 delay of a turn's start {whose}", idle_starts, beside_starts),
        _row(f"p95 delay of a reply {whose}", idle, beside),
    ]


def _row(name: str, alone: Sequence[float], beside: Sequence[float]) -> ReportRow:
    alone_ms, beside_ms = percentile(alone, 0.95), percentile(beside, 0.95)
    notes = f"{beside_ms:.0f} ms of {len(beside)}; alone {alone_ms:.0f} ms; 2 x alone + 100 ms are allowed"
    return at_most(name, 1.0, beside_ms / (2 * alone_ms + 100), "x", notes)


async def _start_delays(context: BenchContext) -> list[float]:
    """Return the milliseconds by which turns of the quiet tenant began later than the debounce, oldest first."""
    rows = await context.storage.fetch_rows(START_DELAYS, address=context.stack.debounced_number.address)
    return [row["ms"] - DEBOUNCE_MS for row in rows]


async def _delays(quiet: ClosedLoop, most: int, until: "asyncio.Task[None] | None") -> list[float]:
    """Return the milliseconds by which replies came later than the debounce, until the task has ended."""
    delays = []
    for number in range(most):
        if until is not None and until.done():
            break
        await asyncio.sleep(PAUSE)
        delays.append(await quiet.measure_exchange(number % QUIET_CONTACTS) * 1000 - DEBOUNCE_MS)
    return delays


async def _make_noise(context: BenchContext, messages: int) -> None:
    """Let as many contacts write one message each, as fast as the API takes them, and wait for their replies."""
    contacts = iter(range(NOISY_CONTACTS_FROM, NOISY_CONTACTS_FROM + messages))
    async with asyncio.TaskGroup() as group:
        for _ in range(NOISY_CONNECTIONS):
            group.create_task(_post_messages(context, contacts))
    while await context.storage.fetch_rows(WAITING, address=context.stack.number.address):
        await asyncio.sleep(0.1)


async def _post_messages(context: BenchContext, contacts: Iterator[int]) -> None:
    for contact in contacts:
        request = context.client.message_request(context.stack.number, contact_address(contact), "olá")
        check_acknowledged(await context.client.post_for_status(request))
