"""Replies per second of one worker: with a model that answers at once, and with a model that takes time."""

import asyncio

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import LoopResult
from bench.measures.cpu_per_reply import cpu_ms_per_reply, format_cpu_ms, recado_cpu_ms
from bench.report import ReportRow, at_least, at_most, format_number, percentile

MEMORY_POLL = 0.25


async def throughput(context: BenchContext) -> list[ReportRow]:
    """Measure replies per second with 64 contacts, while the model answers at once."""
    await context.restart(workers=1)
    result, cpu_ms = await _run_loops(context, 64, context.size(15, 5))
    notes = f"64 contacts, p50 {percentile(result.latencies, 0.5) * 1000:.0f} ms, {format_cpu_ms(cpu_ms)}"
    values = {"recado_ms": recado_cpu_ms(cpu_ms), **cpu_ms}
    return [at_least("replies, model at 0 ms", 250, result.replies_per_second, "/s", notes, **values)]


async def concurrent_200(context: BenchContext) -> list[ReportRow]:
    """Measure replies per second with 200 contacts, while the model takes 500 ms. The ideal is 400 per second."""
    await context.restart(workers=1, model_ms=500)
    result, cpu_ms = await _run_loops(context, 200, context.size(15, 6))
    notes = f"p50 {percentile(result.latencies, 0.5) * 1000:.0f} ms, {format_cpu_ms(cpu_ms)}"
    name = "replies, 200 conversations at once, model at 500 ms"
    return [at_least(name, 250, result.replies_per_second, "/s", notes, **cpu_ms)]


async def concurrent_1000(context: BenchContext) -> list[ReportRow]:
    """Measure 1,000 turns in flight in one worker, while the model takes 5 s. The ideal is 200 per second."""
    await context.restart(workers=1, model_ms=5_000)
    peak_mb = context.stack.resident_mb("worker-1")

    async def watch_memory() -> None:
        nonlocal peak_mb
        while True:
            peak_mb = max(peak_mb, context.stack.resident_mb("worker-1"))
            await asyncio.sleep(MEMORY_POLL)

    watcher = asyncio.create_task(watch_memory())
    try:
        result = await context.new_closed_loop().run_rounds(range(1_000), context.size(4, 2))
    finally:
        watcher.cancel()
    in_flight = (await context.model.get("stats"))["max_in_flight"]
    p50 = percentile(result.latencies, 0.5)
    notes = f"at most {format_number(in_flight)} requests at the model at once, p50 {p50:.1f} s"
    name = "1,000 turns in flight in one worker, model at 5 s"
    return [
        at_least(f"{name}: replies", 180, result.replies_per_second, "/s", notes),
        at_most(f"{name}: resident memory", 200, peak_mb, "MB"),
    ]


async def _run_loops(context: BenchContext, contacts: int, seconds: float) -> tuple[LoopResult, dict[str, float]]:
    """Return the result of closed loops, and the milliseconds of CPU per reply of each process."""
    loop = context.new_closed_loop()
    # The first turns of a conversation create rows that later turns only update, so they are not measured.
    await loop.run_rounds(range(contacts), 2)
    before = context.stack.cpu_seconds()
    result = await loop.run_for(range(contacts), seconds)
    return result, cpu_ms_per_reply(before, context.stack.cpu_seconds(), len(result.latencies))
