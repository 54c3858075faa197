"""Worker processes: each runs any number of turns in one asyncio loop, fed by Dramatiq and by its own sweeps."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import click
import dramatiq
import structlog
import uvloop

from app import broker, collector, db, observability
from app.assistants.service import Assistants
from app.breaker import RedisBreaker
from app.channels.whatsapp.outbound import TwilioGateway
from app.clock import Clock, utc_now
from app.config import Settings
from app.db import Database, Role
from app.errors import ConfigurationError
from app.identity.secrets import Secrets
from app.identity.service import Channels
from app.identity.tokens import SecretBox
from app.observability import Reached, nobody_listens
from app.outbox.service import Sender
from app.processes import forget, spawn
from app.turns import actors
from app.turns.engine import Engine
from app.turns.registration import Registration
from app.turns.runner import Ports
from app.turns.service import Turns
from graphs.models import Models, preload
from tools.outgoing import GuardedOutgoing

log = structlog.get_logger()

NEEDS = ("DATABASE_URL", "REDIS_URL", "RECADO_PUBLIC_URL", "RECADO_SECRET_KEY")
STATUS_PATH = "/api/v1/twilio/status"
QUEUE_THREADS = 2
QUEUE_POLL_MS = 20
"""How long an idle queue thread sleeps: it bounds how long a nudge waits on an idle system."""
FINISH_WITHIN = 60.0
"""Seconds that turns in flight have after SIGTERM."""


@asynccontextmanager
async def engine(
    settings: Settings, *, clock: Clock = utc_now, reached: Reached = nobody_listens
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
        sender = Sender(tenants, channels, gateway, clock, settings, reached)
        breaker = RedisBreaker(settings.redis_url)
        models = Models(settings.providers, breaker)
        outgoing = GuardedOutgoing(allowed=settings.allowed_networks, programs=settings.tool_programs)
        ports = Ports(tenants, Secrets(tenants, box), outgoing, reached)
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


async def run(settings: Settings, *, announce: bool, reached: Reached = nobody_listens) -> None:
    """Runs this process as a worker until SIGTERM or SIGINT; then finishes its turns."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    preload(tuple(settings.providers))
    queue = broker.make_broker(settings.redis_url)
    async with engine(settings, reached=reached) as running:
        actors.declare(queue, running, loop)
        consumer = dramatiq.Worker(queue, worker_threads=QUEUE_THREADS, worker_timeout=QUEUE_POLL_MS)
        consumer.start()
        collector.spare()
        if announce:
            print("recado worker ready", flush=True)
        await stop.wait()
        log.info("worker stopping", in_flight=running.in_flight)
        await asyncio.to_thread(consumer.stop, 5_000)


class Supervisor:
    """Starts worker processes, starts each again that dies, and ends them all on a signal."""

    def __init__(self, command: list[str], processes: int) -> None:
        self._command = command
        self._processes: list[subprocess.Popen[bytes]] = []
        self._count = processes
        self._stopping = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Returns when all processes have ended after SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self._processes = [self._start() for _ in range(self._count)]
        ready()
        while not self._stopping.wait(0.2):
            for position, process in enumerate(self._processes):
                if process.poll() is not None:
                    log.error("worker process died", pid=process.pid, code=process.returncode)
                    forget(process)
                    time.sleep(0.1)
                    self._processes[position] = self._start()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes:
            process.wait()
            forget(process)

    def _start(self) -> subprocess.Popen[bytes]:
        return spawn(self._command)


def _require_providers(settings: Settings) -> None:
    if not settings.providers:
        raise ConfigurationError("no model provider: set OPENAI_API_KEY, GROQ_API_KEY or GOOGLE_API_KEY")


@click.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes to run.")
@click.option("--child", is_flag=True, hidden=True)
def command(processes: int, child: bool) -> None:
    """Run turns: answer the messages that come in."""
    settings = Settings.from_environment(needs=NEEDS)
    _require_providers(settings)
    observability.setup(settings.log_format)
    db.require(settings.database_url)
    if processes == 1 or child:
        uvloop.run(run(settings, announce=True))
        return
    Supervisor([sys.executable, "-m", "app.cli", "worker", "--child"], processes).run(
        lambda: print(f"recado worker starts {processes} processes", flush=True)
    )
