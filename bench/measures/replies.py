"""From the webhook to the reply's post at Twilio: latency when idle, throughput under load, with and without a wait."""

import asyncio
import random

from bench.load.closed_loop import Tally
from bench.load.context import Lab
from bench.report import Row, at_least, at_most, number, percentile

OURS = ("api", "worker-1", "scheduler")
SHOWN = ("api", "worker-1", "postgres", "valkey", "model", "driver")


def per_reply(before: dict[str, float], after: dict[str, float], replies: int) -> dict[str, float]:
    """Milliseconds of CPU that every part spent for one reply."""
    return {name: (after[name] - before[name]) / replies * 1000 for name in before if name in after}


def ours(cpu: dict[str, float]) -> float:
    """The share of Recado's own processes."""
    return sum(cpu.get(name, 0.0) for name in OURS)


def split_up(cpu: dict[str, float]) -> str:
    """The shares side by side."""
    return "CPU ms each: " + ", ".join(f"{name} {cpu[name]:.2f}" for name in SHOWN if name in cpu)


async def idle_latency(lab: Lab) -> list[Row]:
    """One message at a time, with pauses, so that nothing is awake but by its own clock."""
    await lab.ready(workers=1)
    talk, pauses = lab.talk(), random.Random(1)
    latencies: list[float] = []
    for turn in range(lab.scaled(200, 60)):
        await asyncio.sleep(pauses.uniform(0.05, 0.15))
        latencies.append(await talk.exchange(turn % 20) * 1000)
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    return [
        at_most("webhook → POST at Twilio, idle: p50", 25, p50, "ms", f"{len(latencies)} messages, model at 0 ms"),
        at_most("webhook → POST at Twilio, idle: p99", 120, p99, "ms", f"max {max(latencies):.0f} ms"),
    ]


async def throughput(lab: Lab) -> list[Row]:
    """64 contacts in closed loops, the model at 0 ms over the OpenAI wire, everything on this machine."""
    await lab.ready(workers=1)
    tally, cpu = await _measured(lab, 64, lab.scaled(15, 5))
    notes = f"64 contacts, p50 {percentile(tally.latencies, 0.5) * 1000:.0f} ms, {split_up(cpu)}"
    return [at_least("replies end to end, model at 0 ms", 250, tally.rate, "/s", notes, ours_ms=ours(cpu), **cpu)]


async def two_hundred(lab: Lab) -> list[Row]:
    """200 conversations at once, the model at 500 ms: 400/s would be perfect."""
    await lab.ready(workers=1, model_ms=500)
    tally, cpu = await _measured(lab, 200, lab.scaled(15, 6))
    notes = f"p50 {percentile(tally.latencies, 0.5) * 1000:.0f} ms, {split_up(cpu)}"
    return [at_least("200 conversations at once, model at 500 ms", 250, tally.rate, "/s", notes, **cpu)]


async def thousand(lab: Lab) -> list[Row]:
    """1,000 turns in flight in one worker process, the model at 5 s: 200/s would be perfect."""
    await lab.ready(workers=1, model_ms=5_000)
    peak = lab.system.rss("worker-1")

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, lab.system.rss("worker-1"))
            await asyncio.sleep(0.25)

    watcher = asyncio.create_task(watch())
    try:
        tally = await lab.talk().rounds(range(1_000), lab.scaled(4, 2))
    finally:
        watcher.cancel()
    seen = (await lab.model.get("stats"))["max_in_flight"]
    notes = f"{number(seen)} requests at the model at once, p50 {percentile(tally.latencies, 0.5):.1f} s"
    return [
        at_least("1,000 turns in flight in one worker, model at 5 s", 180, tally.rate, "/s", notes),
        at_most("1,000 turns in flight in one worker: resident", 200, peak, "MB"),
    ]


async def _measured(lab: Lab, contacts: int, seconds: float) -> tuple[Tally, dict[str, float]]:
    talk = lab.talk()
    await talk.rounds(range(contacts), 2)
    before = lab.system.cpu()
    tally = await talk.during(range(contacts), seconds)
    return tally, per_reply(before, lab.system.cpu(), len(tally.latencies))
