"""The time until another worker answers the turns of a killed worker."""

import asyncio
import signal
import time

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import REPLY_TIMEOUT, MeasurementFailed, check_acknowledged
from bench.report import ReportRow, at_most
from bench.webhook_client import contact_address

CONTACTS = 60
MODEL_MS = 500

CLAIMED_CONTACTS = """
    select contacts.address from conversations c
    join contacts on contacts.id = c.contact_id
    join workers on workers.id = c.owner
    where workers.pid = %(pid)s
"""
"""The contacts whose conversations a worker owns at this moment."""


async def recovery(context: BenchContext) -> list[ReportRow]:
    """Kill one of two workers while it has turns in flight, several times. The target is for the slowest turn."""
    await context.restart(workers=2, model_ms=MODEL_MS)
    waits: list[float] = []
    for attempt in range(context.size(5, 2)):
        worker = f"worker-{attempt % 2 + 1}"
        waits += await _kill_and_wait(context, worker, attempt * CONTACTS)
        context.stack.children[worker].stop()
        context.stack.start(worker)
        await context.wait_until_idle()
    median = sorted(waits)[len(waits) // 2]
    notes = f"{len(waits)} turns, median {median:.2f} s; the model's {MODEL_MS} ms are subtracted"
    return [at_most("kill of a worker to the replies of its turns by another, slowest", 2.0, max(waits), "s", notes)]


async def _kill_and_wait(context: BenchContext, worker: str, first_contact: int) -> list[float]:
    """Return the seconds from the kill to each reply that the worker had not posted, minus the model's time."""
    loop = context.new_closed_loop()
    addresses = [contact_address(contact) for contact in range(first_contact, first_contact + CONTACTS)]
    replies = {address: loop.next_reply(address) for address in addresses}
    number = context.stack.number
    requests = [context.client.message_request(number, address, "antes da queda") for address in addresses]
    for status in await asyncio.gather(*(context.client.post_for_status(request) for request in requests)):
        check_acknowledged(status)
    # After half of the model's time, the turns are in flight.
    await asyncio.sleep(MODEL_MS / 2000)
    child = context.stack.children[worker]
    claimed = [row["address"] for row in await context.storage.fetch_rows(CLAIMED_CONTACTS, pid=child.pid)]
    killed_at = time.perf_counter()
    child.send(signal.SIGKILL)
    await asyncio.wait(replies.values(), timeout=REPLY_TIMEOUT)
    if missing := sum(not reply.done() for reply in replies.values()):
        raise MeasurementFailed(f"{missing} of {CONTACTS} contacts had no reply {REPLY_TIMEOUT:.0f} s after the kill")
    posted = [reply.result() for reply in replies.values()]
    waits = [
        reply.posted_at - killed_at - MODEL_MS / 1000
        for reply in posted
        if reply.contact in claimed and reply.posted_at > killed_at
    ]
    if not waits:
        raise MeasurementFailed(f"{worker} had no turn in flight when it was killed")
    return waits
