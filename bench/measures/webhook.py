"""Webhooks per second of one API process: signature check, insert and acknowledgement."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import check_acknowledged
from bench.report import ReportRow, at_least, at_most, percentile
from bench.webhook_client import contact_address

CLIENTS = 32
TARGET_RATE, TARGET_P99_MS = 3_000, 15


@dataclass(frozen=True)
class WebhookLoad:
    """Acknowledged webhooks per second, the latency of each, and the API's CPU per webhook."""

    rate: float
    latencies_ms: list[float]
    api_cpu_ms: float


async def webhook(context: BenchContext) -> list[ReportRow]:
    """Post messages of different contacts from 32 clients: first without a worker, then with one that answers them.

    Only the load without a worker has a target, because a worker takes CPU from the API.
    """
    await context.restart(workers=0)
    await _post_messages(context, 1_000_000, 500)
    without_worker = await _post_messages(context, 2_000_000, context.size(20_000, 6_000))
    await context.restart(workers=1)
    with_worker = await _post_messages(context, 3_000_000, context.size(8_000, 3_000))
    return [
        *_rows_with_target("webhooks, one API process, no worker", without_worker),
        _row_without_target("webhooks, one API process, one worker", with_worker),
    ]


def _rows_with_target(name: str, load: WebhookLoad) -> list[ReportRow]:
    p50, p99 = _p50_and_p99(load)
    return [
        at_least(name, TARGET_RATE, load.rate, "/s", f"{CLIENTS} clients, {_format_cpu(load)}", **_values(load)),
        at_most(f"{name}, p99", TARGET_P99_MS, p99, "ms", f"p50 {p50:.1f} ms"),
    ]


def _row_without_target(name: str, load: WebhookLoad) -> ReportRow:
    p50, p99 = _p50_and_p99(load)
    notes = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {_format_cpu(load)}"
    return ReportRow(name, "", f"{load.rate:,.0f} /s", notes, values=_values(load))


def _p50_and_p99(load: WebhookLoad) -> tuple[float, float]:
    return percentile(load.latencies_ms, 0.5), percentile(load.latencies_ms, 0.99)


def _format_cpu(load: WebhookLoad) -> str:
    return f"CPU of the API {load.api_cpu_ms:.2f} ms per webhook"


def _values(load: WebhookLoad) -> dict[str, float]:
    p50, p99 = _p50_and_p99(load)
    return {"rate": load.rate, "p50_ms": p50, "p99_ms": p99, "api_cpu_ms": load.api_cpu_ms}


async def _post_messages(context: BenchContext, first_contact: int, count: int) -> WebhookLoad:
    """Post one message of each of `count` contacts. All requests are signed before the measurement starts."""
    number = context.stack.number
    requests = [
        context.client.message_request(number, contact_address(contact), f"mensagem {contact}")
        for contact in range(first_contact, first_contact + count)
    ]
    latencies_ms: list[float] = []

    async def run_client(queue: Iterator[bytes]) -> None:
        for request in queue:
            sent_at = time.perf_counter()
            status = await context.client.post_for_status(request)
            latencies_ms.append((time.perf_counter() - sent_at) * 1000)
            check_acknowledged(status)

    queue = iter(requests)
    before, started = context.stack.cpu_seconds(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(run_client(queue))
    elapsed, after = time.perf_counter() - started, context.stack.cpu_seconds()
    return WebhookLoad(count / elapsed, latencies_ms, (after["api"] - before["api"]) / count * 1000)
