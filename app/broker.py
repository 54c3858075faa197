"""Nudge workers through Redis. A sweep of Postgres finds whatever is lost here."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, ShutdownNotifications

from app.errors import ConfigurationError

log = structlog.get_logger()

TURNS = "turns"
RUN_TURNS = "run_turns"

SOCKET_OPTIONS: dict[str, Any] = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "health_check_interval": 15,
    "max_connections": 64,
}


def make_broker(url: str, *, namespace: str = "recado") -> RedisBroker:
    """Return a broker that connects at its first use. It has no retry middleware: Postgres decides what is retried."""
    try:
        pool = redis.ConnectionPool.from_url(url, **SOCKET_OPTIONS)
    except ValueError:
        # Its text may quote the URL, and with it the password.
        raise ConfigurationError("REDIS_URL is malformed: it must look like redis://host:6379/0") from None
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis.Redis(connection_pool=pool),
        namespace=namespace,
        middleware=[CurrentMessage(), ShutdownNotifications()],
    )


@dataclass(frozen=True)
class Nudge:
    """A request to a worker to claim a conversation from `due` (epoch seconds) on."""

    tenant_id: UUID
    conversation_id: UUID
    due: float


def message(nudges: Sequence[Nudge]) -> dramatiq.Message[None]:
    """Return the queue message that carries the nudges."""
    carried = [(str(nudge.tenant_id), str(nudge.conversation_id), nudge.due) for nudge in nudges]
    return dramatiq.Message(queue_name=TURNS, actor_name=RUN_TURNS, args=(carried,), kwargs={}, options={})


class Nudger:
    """Sends nudges from a thread, so that a slow or dead Redis never delays an acknowledgement.

    A single nudge is sent at once. Nudges in quick succession share a message, because a message costs as much CPU
    as storing the contact's message.
    """

    CAPACITY = 10_000
    PACE = 0.02
    """The minimum time between two messages, in seconds."""
    TOGETHER = 50
    """The maximum number of nudges in one message. One worker gets all of them."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._waiting: queue.Queue[Nudge | None] = queue.Queue(self.CAPACITY)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nudger", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def send(self, nudge: Nudge) -> None:
        """Queue a nudge and return at once.

        When the queue is full the nudge is dropped, and a sweep finds the conversation.
        """
        try:
            self._waiting.put_nowait(nudge)
        except queue.Full:
            log.warning("nudge dropped", reason="redis is slow or down; the sweep will find the conversation")

    def close(self) -> None:
        """Send the waiting nudges, for two seconds at most."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            try:
                self._broker.enqueue(message([first, *self._others()]))
            except (dramatiq.BrokerError, redis.RedisError, OSError) as error:
                log.warning("nudge lost", error=type(error).__name__, reason="the sweep will find the conversation")
            self._closing.wait(self.PACE)

    def _others(self) -> Iterator[Nudge]:
        for _ in range(self.TOGETHER - 1):
            try:
                found = self._waiting.get_nowait()
            except queue.Empty:
                return
            if found is None:
                self._waiting.put(None)
                return
            yield found
