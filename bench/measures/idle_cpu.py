"""The CPU that a worker and Valkey use while no contact writes."""

import asyncio
import time

from bench.load.bench_context import BenchContext
from bench.report import ReportRow, at_most

SECONDS, QUICK_SECONDS = 20, 10
TARGET_PERCENT = 1.0
SHOWN = ("worker-1", "valkey", "postgres", "api", "scheduler")


async def idle_cpu(context: BenchContext) -> list[ReportRow]:
    """Measure the share of a core that one idle worker and Valkey use together."""
    await context.restart(workers=0)
    without_worker = await _percent_of_a_core(context)
    await context.restart(workers=1)
    percent = await _percent_of_a_core(context)
    together = percent["worker-1"] + percent["valkey"]
    notes = ", ".join(f"{name} {percent[name]:.2f} %" for name in SHOWN if name in percent)
    notes += f"; Valkey without a worker {without_worker['valkey']:.2f} %"
    return [at_most("idle worker and Valkey, of a core", TARGET_PERCENT, together, "%", notes, **percent)]


async def _percent_of_a_core(context: BenchContext) -> dict[str, float]:
    """Return the percent of a core that each process uses."""
    before, started = context.stack.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(context.size(SECONDS, QUICK_SECONDS))
    after, elapsed = context.stack.cpu_seconds(), time.perf_counter() - started
    return {name: (after[name] - before[name]) / elapsed * 100 for name in before if name in after}
