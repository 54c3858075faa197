"""What a system that has nothing to do costs."""

import asyncio
import time

from bench.load.context import Lab
from bench.report import Row, at_most

SECONDS, QUICK_SECONDS = 20, 10
TARGET = 1.0


async def idle(lab: Lab) -> list[Row]:
    """CPU of one worker and of Valkey while nobody writes, in percent of a core."""
    await lab.ready(workers=0)
    alone = await _shares(lab)
    await lab.ready(workers=1)
    shares = await _shares(lab)
    together = shares["worker-1"] + shares["valkey"]
    notes = ", ".join(f"{name} {shares[name]:.2f} %" for name in ("worker-1", "valkey", "postgres", "api", "scheduler"))
    return [
        at_most(
            "idle worker and Valkey, of a core",
            TARGET,
            together,
            "%",
            f"{notes}; Valkey without a worker {alone['valkey']:.2f} %",
            **shares,
        )
    ]


async def _shares(lab: Lab) -> dict[str, float]:
    before, began = lab.system.cpu(), time.perf_counter()
    await asyncio.sleep(lab.scaled(SECONDS, QUICK_SECONDS))
    after, elapsed = lab.system.cpu(), time.perf_counter() - began
    return {name: (after[name] - before[name]) / elapsed * 100 for name in before if name in after}
