"""How long a killed worker's turns wait until another worker has answered them."""

import asyncio
import signal
import time

from bench.load.closed_loop import Stalled
from bench.load.context import Lab
from bench.report import Row, at_most
from bench.traffic import contact_address

CONTACTS = 60
MODEL_MS = 500

HELD = """
    select contacts.address from conversations c
    join contacts on contacts.id = c.contact_id
    join workers on workers.id = c.owner
    where workers.pid = %(pid)s
"""


async def recovery(lab: Lab) -> list[Row]:
    """Kill -9 of a worker with turns in flight, beside a second worker."""
    await lab.ready(workers=2, model_ms=MODEL_MS)
    waits: list[float] = []
    for attempt in range(lab.scaled(5, 2)):
        victim = f"worker-{attempt % 2 + 1}"
        waits += await _killed(lab, victim, attempt * CONTACTS)
        lab.system.children[victim].stop()
        lab.system.start(victim)
        await lab.calm()
    notes = f"{len(waits)} turns, median {sorted(waits)[len(waits) // 2]:.2f} s; the model's {MODEL_MS} ms taken off"
    return [at_most("turns of a killed worker answered by another: slowest", 2.0, max(waits), "s", notes)]


async def _killed(lab: Lab, victim: str, first: int) -> list[float]:
    """Seconds from the kill to each reply that the victim still owed, without the model's time."""
    talk = lab.talk()
    addresses = [contact_address(contact) for contact in range(first, first + CONTACTS)]
    replies = {address: talk.expect(address) for address in addresses}
    requests = [lab.poster.webhook(lab.system.number, address, "antes da queda") for address in addresses]
    await asyncio.gather(*(lab.poster.post(request) for request in requests))
    await asyncio.sleep(MODEL_MS / 2000)
    child = lab.system.children[victim]
    held = [row["address"] for row in await lab.store.rows(HELD, pid=child.pid)]
    killed = time.perf_counter()
    child.send(signal.SIGKILL)
    async with asyncio.timeout(60):
        sent = await asyncio.gather(*replies.values())
    waits = [reply.at - killed - MODEL_MS / 1000 for reply in sent if reply.contact in held and reply.at > killed]
    if not waits:
        raise Stalled(f"{victim} had nothing in flight when it was killed")
    return waits
