"""Redis, the nudge. Whatever is lost here, a sweep of Postgres finds again."""

import queue
import threading
from typing import Any
from uuid import UUID

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, ShutdownNotifications

log = structlog.get_logger()

TURNS = "turns"
RUN_TURN = "run_turn"

SOCKET_OPTIONS: dict[str, Any] = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "health_check_interval": 15,
    "max_connections": 64,
}


def make_broker(url: str, *, namespace: str = "recado") -> RedisBroker:
    """A broker that connects at its first use. Without the retry middleware: Postgres decides what runs again."""
    pool = redis.ConnectionPool.from_url(url, **SOCKET_OPTIONS)
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis.Redis(connection_pool=pool),
        namespace=namespace,
        middleware=[CurrentMessage(), ShutdownNotifications()],
    )


def nudge(tenant_id: UUID, conversation_id: UUID, due: float) -> dramatiq.Message[None]:
    """The message that tells a worker to look at a conversation from `due` (epoch seconds) on."""
    return dramatiq.Message(
        queue_name=TURNS,
        actor_name=RUN_TURN,
        args=(str(tenant_id), str(conversation_id), due),
        kwargs={},
        options={},
    )


class Nudger:
    """Sends nudges from a thread of its own, so that a slow or dead Redis never delays an acknowledgement."""

    CAPACITY = 10_000

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._waiting: queue.Queue[dramatiq.Message[None] | None] = queue.Queue(self.CAPACITY)
        self._thread = threading.Thread(target=self._run, name="nudger", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def send(self, message: dramatiq.Message[None]) -> None:
        """Hands over and returns at once; a full queue drops the nudge, and the sweep stands behind it."""
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            log.warning("nudge dropped", reason="redis is slow or down; the sweep will find the conversation")

    def close(self) -> None:
        """Sends what waits, for two seconds at most."""
        self._waiting.put(None)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._broker.enqueue(message)
            except (dramatiq.BrokerError, redis.RedisError, OSError) as error:
                log.warning("nudge lost", error=type(error).__name__, reason="the sweep will find the conversation")
