"""Worker processes: each runs any number of turns in one asyncio loop, fed by Dramatiq and by its own sweeps."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq
import structlog

from app import broker, gc_freeze
from app.assistants.service import Assistants
from app.channels.whatsapp.outbound import TwilioGateway
from app.circuit_breaker import RedisBreaker
from app.clock import Clock, utc_now
from app.config import Settings
from app.crypto import SecretBox
from app.db import Database, Role
from app.identity.secrets import Secrets
from app.identity.service import Channels
from app.outbox.service import Sender
from app.telemetry import MilestoneHook, no_hook
from app.turns import actors
from app.turns.engine import Engine
from app.turns.service import Turns
from app.turns.tool_runner import Ports
from app.turns.worker_lease import Registration
from graphs.llm_client import Models, preload
from tools.net.guarded_http import GuardedOutgoing

log = structlog.get_logger()

REQUIRED_ENV = ("DATABASE_URL", "REDIS_URL", "RECADO_PUBLIC_URL", "RECADO_SECRET_KEY")
STATUS_PATH = "/api/v1/twilio/status"
QUEUE_THREADS = 2
QUEUE_POLL_MS = 20
"""How long an idle queue thread sleeps: it bounds how long a nudge waits on an idle system."""
FINISH_WITHIN = 60.0
"""Seconds that turns in flight have after SIGTERM."""


@asynccontextmanager
async def engine(
    settings: Settings, *, clock: Clock = utc_now, on_milestone: MilestoneHook = no_hook
) -> AsyncIterator[Engine]:
    """An engine with all that it needs, registered and sweeping. At the end it finishes what it has begun."""
    async with (
        Database(settings.database_url, size=10) as tenants,
        Database(settings.database_url, role=Role.SYSTEM, size=2) as system,
    ):
        gateway = TwilioGateway(
            api_url=settings.twilio_api_url,
            callback_url=settings.public_url + STATUS_PATH,
            timeout=settings.send_timeout,
        )
        box = SecretBox(settings.secret_key)
        channels = Channels(system, box)
        sender = Sender(tenants, channels, gateway, clock, settings, on_milestone)
        breaker = RedisBreaker(settings.redis_url)
        models = Models(settings.providers, breaker)
        outgoing = GuardedOutgoing(allowed=settings.allowed_networks, programs=settings.tool_programs)
        ports = Ports(tenants, Secrets(tenants, box), outgoing, on_milestone)
        turns = Turns(Assistants(tenants), models, ports, clock, settings)
        registration = Registration(settings.database_url, system, clock)
        await registration.start()
        running = Engine(turns, sender, registration, system, clock, settings)
        running.start()
        try:
            yield running
        finally:
            await running.close(FINISH_WITHIN)
            await registration.close()
            await models.close()
            await breaker.close()
            await outgoing.close()
            await gateway.close()


async def run(settings: Settings, *, announce: bool, on_milestone: MilestoneHook = no_hook) -> None:
    """Runs this process as a worker until SIGTERM or SIGINT; then finishes its turns."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    preload(tuple(settings.providers))
    queue = broker.make_broker(settings.redis_url)
    async with engine(settings, on_milestone=on_milestone) as running:
        actors.declare(queue, running, loop)
        consumer = dramatiq.Worker(queue, worker_threads=QUEUE_THREADS, worker_timeout=QUEUE_POLL_MS)
        consumer.start()
        gc_freeze.freeze()
        if announce:
            print("recado worker ready", flush=True)
        await stop.wait()
        log.info("worker stopping", in_flight=running.in_flight)
        await asyncio.to_thread(consumer.stop, 5_000)
