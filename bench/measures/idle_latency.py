"""The latency of a reply in an idle system."""

import asyncio
import random

from bench.load.bench_context import BenchContext
from bench.report import ReportRow, at_most, percentile

CONTACTS = 20
PAUSE = (0.05, 0.15)
"""Seconds between two messages, drawn for each."""
TARGET_P50_MS, TARGET_P99_MS = 25, 120


async def idle_latency(context: BenchContext) -> list[ReportRow]:
    """Measure the time from a webhook to the reply's POST, one message at a time.

    The random pauses let all processes go to sleep, and keep the messages out of step with their timers.
    """
    await context.restart(workers=1)
    loop, pauses = context.new_closed_loop(), random.Random(1)
    latencies_ms: list[float] = []
    for number in range(context.size(200, 60)):
        await asyncio.sleep(pauses.uniform(*PAUSE))
        latencies_ms.append(await loop.measure_exchange(number % CONTACTS) * 1000)
    p50, p99 = percentile(latencies_ms, 0.5), percentile(latencies_ms, 0.99)
    notes = f"{len(latencies_ms)} messages, model at 0 ms"
    return [
        at_most("webhook to POST at Twilio, idle system, p50", TARGET_P50_MS, p50, "ms", notes),
        at_most(
            "webhook to POST at Twilio, idle system, p99", TARGET_P99_MS, p99, "ms", f"max {max(latencies_ms):.0f} ms"
        ),
    ]
