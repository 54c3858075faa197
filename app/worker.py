"""The worker process: runs turns in one asyncio loop, fed by Dramatiq's nudges and by its own sweeps."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq
import structlog

from app import broker, database_clock, db, gc_freeze, health, telemetry
from app.assistants.service import Assistants
from app.background import Heartbeats
from app.channels.whatsapp.outbound import TwilioGateway
from app.circuit_breaker import RedisBreaker
from app.clock import Clock
from app.config import Settings
from app.crypto import SecretBox
from app.errors import RecadoError
from app.identity.secrets import Secrets
from app.identity.service import Channels
from app.outbox.channel_breaker import ChannelBreaker
from app.outbox.service import Sender
from app.telemetry import MilestoneHook, no_hook
from app.turns import actors
from app.turns.engine import Engine
from app.turns.tool_runner import ToolDependencies
from app.turns.turn import Turns
from app.turns.worker_lease import WorkerLease
from graphs.llm_client import Models, preload
from tools.net.guarded_http import GuardedHttpClient

log = structlog.get_logger()

REQUIRED_ENV = ("DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL", "RECADO_PUBLIC_URL", "RECADO_SECRET_KEY")
STATUS_PATH = "/api/v1/twilio/status"
QUEUE_THREADS = 2
CHECK_INTERVAL = 1.0
"""Seconds between checks of the queue's threads."""
SHUTDOWN_TIMEOUT = 60.0
"""Seconds that running turns have after SIGTERM."""


@asynccontextmanager
async def engine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    on_milestone: MilestoneHook = no_hook,
    heartbeats: Heartbeats | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine with all its dependencies. At the end of the block its running turns are finished.

    Without a `clock` it goes by Postgres's.
    """
    heartbeats = heartbeats or Heartbeats()
    async with (
        db.app_database(settings, size=10) as tenants,
        db.system_database(settings, size=2) as system,
        database_clock.following(clock, system, heartbeats) as now,
    ):
        gateway = TwilioGateway(
            api_url=settings.twilio_api_url,
            callback_url=settings.public_url + STATUS_PATH,
            timeout=settings.send_timeout,
            clock=now,
        )
        box = SecretBox(settings.secret_key)
        channels = Channels(system, box)
        lease = WorkerLease(settings.session_url, system, now, settings.lock_validity, heartbeats)
        channel_breaker = ChannelBreaker(system, channels, gateway, now)
        sender = Sender(tenants, channel_breaker, gateway, lease, now, settings, on_milestone)
        breaker = RedisBreaker(settings.redis_url)
        models = Models(settings.providers, breaker)
        http_client = GuardedHttpClient(allowed=settings.allowed_networks, programs=settings.tool_programs)
        tool_dependencies = ToolDependencies(tenants, Secrets(tenants, box), http_client, on_milestone)
        turns = Turns(Assistants(tenants), models, tool_dependencies, now, settings)
        await lease.start()
        running = Engine(turns, sender, lease, system, now, settings, heartbeats)
        running.start()
        try:
            yield running
        finally:
            await running.close(SHUTDOWN_TIMEOUT)
            await lease.close()
            await models.close()
            await breaker.close()
            await http_client.close()
            await gateway.close()


async def run(
    settings: Settings,
    *,
    announce: bool,
    on_milestone: MilestoneHook = no_hook,
    health_at: health.Address | None = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT, then finish its turns. `announce` prints a line when it is ready.

    Raises RecadoError when the queue is no longer read.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    preload(tuple(settings.providers))
    heartbeats = Heartbeats()
    queue = broker.make_broker(settings.redis_url, heartbeats=heartbeats)
    async with (
        engine(settings, on_milestone=on_milestone, heartbeats=heartbeats) as running,
        health.serve(heartbeats, health_at),
    ):
        actors.declare(queue, running, loop)
        consumer = dramatiq.Worker(queue, worker_threads=QUEUE_THREADS, worker_timeout=broker.QUEUE_WAIT_MS)
        consumer.start()
        gc_freeze.freeze()
        if announce:
            telemetry.announce("recado worker ready")
        try:
            await watch_queue(consumer, stop)
        finally:
            log.info("worker stopping", in_flight=running.in_flight)
            await asyncio.to_thread(consumer.stop, 5_000)


async def watch_queue(consumer: dramatiq.Worker, stop: asyncio.Event) -> None:
    """Return when `stop` is set. Raises RecadoError when a thread that reads the queue has ended.

    The process then ends, and its supervisor starts another.
    """
    while not stop.is_set():
        if not all(thread.is_alive() for thread in (*consumer.consumers.values(), *consumer.workers)):
            raise RecadoError("a thread that reads the queue has ended")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_INTERVAL):
                await stop.wait()
