"""Run a worker that acts on nudges from the queue only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq

from app import broker
from app.turns import actors
from tests.platform import Platform


@asynccontextmanager
async def fed_by_the_queue(platform: Platform) -> AsyncIterator[None]:
    """Replace the platform's worker by one that never sweeps, so that it acts on nudges only."""
    assert platform.engine is not None
    await platform.engine.close()
    queue = broker.make_broker(platform.settings.redis_url)
    async with platform.worker(sweep_interval=100_000) as engine:
        actors.declare(queue, engine, asyncio.get_running_loop())
        consumer = dramatiq.Worker(queue, worker_threads=1, worker_timeout=broker.QUEUE_WAIT_MS)
        consumer.start()
        try:
            yield
        finally:
            await asyncio.to_thread(consumer.stop, 5_000)
    queue.client.connection_pool.disconnect()
