"""The API process, which serves everything over HTTP. It imports no model client and no graph."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from app import broker, database_check, database_clock, db, gc_freeze, listening, telemetry
from app.background import Heartbeats
from app.broker import Nudger
from app.clock import Clock
from app.config import Settings
from app.crypto import SecretBox
from app.db import DatabaseUnavailable
from app.errors import WebhookRefused
from app.health import process_metrics
from app.identity.service import Channels
from app.inbox.service import Inbox
from app.outbox.callbacks import StatusCallbacks
from app.outbox.metrics import sending_metrics
from app.telemetry import MilestoneHook, no_hook
from app.webhooks import twilio
from app.webhooks.twilio import TwilioWebhooks, WebhookDependencies

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]

RETRY_AFTER = 5
"""Seconds after which a caller may try again while Postgres is unavailable."""

READY_WITHIN = 3.0
"""The time limit of a readiness check in seconds."""

LINGER = 1.0
"""Seconds for which an ending process reads requests from connections that it has accepted."""
LINGER_STEPS = 20

REQUIRED_ENV = ("DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL", "RECADO_PUBLIC_URL", "RECADO_SECRET_KEY")


def create_app(settings: Settings, *, clock: Clock | None = None, on_milestone: MilestoneHook = no_hook) -> Litestar:
    """Return the application. It connects when it is started. Without a `clock` it goes by Postgres's."""
    box = SecretBox(settings.secret_key)

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        heartbeats = Heartbeats()
        nudger = Nudger(broker.make_broker(settings.redis_url), heartbeats)
        async with (
            db.app_database(settings) as tenants,
            db.system_database(settings, size=2) as system,
            database_clock.following(clock, system, heartbeats) as now,
        ):
            app.state.system, app.state.heartbeats = system, heartbeats
            channels = Channels(system, box)
            app.state.dependencies = WebhookDependencies(
                TwilioWebhooks(settings.public_url, channels),
                Inbox(tenants, nudger, now, on_milestone),
                StatusCallbacks(tenants, now),
            )
            nudger.start()
            yield
            nudger.close()

    def provide_dependencies(state: State) -> Any:
        return state.dependencies

    return Litestar(
        route_handlers=[
            Router("/api/v1/twilio", route_handlers=[twilio.receive_message, twilio.receive_status]),
            healthy,
            ready,
            metrics,
        ],
        dependencies={"dependencies": Provide(provide_dependencies, sync_to_thread=False)},
        exception_handlers={
            WebhookRefused: _refused,
            HTTPException: _http_error,
            **dict.fromkeys((DatabaseUnavailable, TimeoutError), _away),
            Exception: _unexpected,
        },
        lifespan=[running],
        openapi_config=None,
        logging_config=None,
    )


@get("/healthz", sync_to_thread=False)
def healthy(state: State) -> Response[dict[str, str]]:
    """Answer that this process is alive, or which of its background tasks are not."""
    if late := state.heartbeats.late():
        return Response({"status": "late", "tasks": ", ".join(late)}, status_code=503)
    return Response({"status": "ok"})


@get("/readyz")
async def ready(state: State) -> Response[dict[str, str]]:
    """Answer whether this process can store messages: Postgres answers, and its schema is one that the code knows."""
    try:
        async with asyncio.timeout(READY_WITHIN):
            problem = await database_check.schema_problem(state.system)
    except (DatabaseUnavailable, TimeoutError):
        problem = "Postgres is unavailable"
    if problem is None:
        return Response({"status": "ready"})
    return Response({"status": "not ready", "reason": problem}, status_code=503)


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(state: State) -> str:
    """Answer with the metrics that Prometheus reads. Without Postgres these are the process's own."""
    own = process_metrics(state.heartbeats)
    try:
        async with asyncio.timeout(READY_WITHIN):
            return own + await sending_metrics(state.system)
    except (DatabaseUnavailable, TimeoutError):
        return own


def _refused(request: AnyRequest, error: WebhookRefused) -> Response[dict[str, str]]:
    log.warning("webhook refused", path=request.scope["path"], status_code=error.status_code, reason=str(error))
    return Response({"error": str(error)}, status_code=error.status_code)


def _away(request: AnyRequest, error: Exception) -> Response[dict[str, str]]:
    log.error("postgres is away", path=request.scope["path"], error=str(error) or type(error).__name__)
    headers = {"Retry-After": str(RETRY_AFTER)}
    return Response({"error": "not stored: try again"}, status_code=503, headers=headers)


def _http_error(request: AnyRequest, error: HTTPException) -> Response[dict[str, str]]:
    log.warning("request refused", path=request.scope["path"], status_code=error.status_code)
    reason = error.detail if error.status_code < 500 else "internal error"
    return Response({"error": reason}, status_code=error.status_code, headers=error.headers)


def _unexpected(request: AnyRequest, error: Exception) -> Response[dict[str, str]]:
    log.error("request failed", path=request.scope["path"], exc_info=error)
    return Response({"error": "internal error"}, status_code=500)


class _AnnouncedServer(uvicorn.Server):
    """A server that prints one line when it is ready, and exits with code 0 when it is told to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc_freeze.freeze()
            for listener in sockets or []:
                telemetry.announce(f"recado api ready on {listening.address_of(listener)}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, answer what arrives on open connections for a while, then end.

        A request may be on its way on a connection that is idle here. Each answer now closes its connection.
        """
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        for _ in range(LINGER_STEPS):
            if not self.server_state.connections:
                break
            await asyncio.sleep(LINGER / LINGER_STEPS)
        await super().shutdown(sockets)


def serve(settings: Settings, listener: socket.socket, *, on_milestone: MilestoneHook = no_hook) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, then answer the requests that run."""
    config = uvicorn.Config(
        create_app(settings, on_milestone=on_milestone),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=listening.BACKLOG,
        timeout_graceful_shutdown=20,
    )
    server = _AnnouncedServer(config)
    server.run([listener])
    if not server.started:
        sys.exit(1)
