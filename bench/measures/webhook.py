"""How many webhooks one API process takes: verify, store, acknowledge."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.load.closed_loop import Stalled
from bench.load.context import Lab
from bench.report import Row, at_least, at_most, percentile
from bench.traffic import contact_address

CLIENTS = 32
TARGET_RATE, TARGET_P99_MS = 3_000, 15


@dataclass(frozen=True)
class Taken:
    """What the clients saw; latencies in milliseconds."""

    rate: float
    latencies: list[float]
    api_ms: float


async def webhook(lab: Lab) -> list[Row]:
    """Distinct contacts and messages, 32 clients; without a worker, and with one at work on what comes in."""
    await lab.ready(workers=0)
    await _post(lab, 1_000_000, 500)
    alone = await _post(lab, 2_000_000, lab.scaled(20_000, 6_000))
    await lab.ready(workers=1)
    beside = await _post(lab, 3_000_000, lab.scaled(8_000, 3_000))
    return [
        *_rows("webhook, one API process, no worker", alone),
        *_rows("webhook, one API process, a worker at work", beside, judged=False),
    ]


def _rows(what: str, taken: Taken, *, judged: bool = True) -> list[Row]:
    p50, p99 = percentile(taken.latencies, 0.5), percentile(taken.latencies, 0.99)
    cpu = f"API CPU {taken.api_ms:.2f} ms each"
    values = {"rate": taken.rate, "p50_ms": p50, "p99_ms": p99, "api_cpu_ms": taken.api_ms}
    if not judged:
        return [Row(what, "", f"{taken.rate:,.0f} req/s", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu}", values=values)]
    return [
        at_least(what, TARGET_RATE, taken.rate, "req/s", f"{CLIENTS} clients, {cpu}", **values),
        at_most(f"{what}: p99", TARGET_P99_MS, p99, "ms", f"p50 {p50:.1f} ms"),
    ]


async def _post(lab: Lab, first: int, count: int) -> Taken:
    number = lab.system.number
    requests = [
        lab.poster.webhook(number, contact_address(contact), f"mensagem {contact}")
        for contact in range(first, first + count)
    ]
    latencies: list[float] = []

    async def client(queue: Iterator[bytes]) -> None:
        for request in queue:
            began = time.perf_counter()
            status = await lab.poster.status_of(request)
            latencies.append((time.perf_counter() - began) * 1000)
            if status != 200:
                raise Stalled(f"the webhook answered {status or 'nothing'}")

    queue = iter(requests)
    before, began = lab.system.cpu(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(queue))
    elapsed, after = time.perf_counter() - began, lab.system.cpu()
    return Taken(count / elapsed, latencies, (after["api"] - before["api"]) / count * 1000)
