"""Nudge workers through Redis. A sweep of Postgres finds whatever is lost here."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dramatiq
import redis
import structlog
from dramatiq import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import CurrentMessage, ShutdownNotifications

from app.background import Heartbeat, Heartbeats
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


QUEUE_WAIT_MS = 1000
"""Milliseconds that an idle consumer waits in Redis, less than the socket's timeout. An ending worker waits as long."""

UNWOKEN_PAUSE = 0.25
"""Seconds between looks into the queue where Redis does not let us wait in it."""


class NudgeBroker(RedisBroker):
    """Dramatiq's broker, whose idle consumers wait in Redis instead of asking it every few milliseconds.

    It has no delay queue: a nudge carries its due time.
    """

    def __init__(self, client: "redis.Redis", namespace: str, heartbeat: Heartbeat) -> None:
        # No retry middleware: Postgres decides what is retried.
        middleware = [CurrentMessage(), ShutdownNotifications()]
        super().__init__(client=client, namespace=namespace, middleware=middleware)  # type: ignore[no-untyped-call]
        self.heartbeat = heartbeat

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = QUEUE_WAIT_MS) -> Consumer:
        """Return a consumer that waits for at most `timeout` milliseconds, in whole seconds."""
        # Without a timeout Dramatiq's own consumer does not sleep.
        own = super().consume(queue_name, prefetch, timeout=0)
        return _WaitingConsumer(self, own, queue_name, prefetch, max(1, timeout // 1000))

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, unless it has been declared."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)


class _WaitingConsumer(Consumer):
    """Reads the queue with Dramatiq's own consumer. When that finds nothing, it waits until there is a message.

    A message is in the hands of workers while `prefetch` others are not acknowledged; then it waits for one of those.
    """

    def __init__(self, broker: NudgeBroker, own: Consumer, queue_name: str, prefetch: int, wait: int) -> None:
        self._broker = broker
        self._own: Any = own
        self._list = f"{broker.namespace}:{queue_name}"
        self._prefetch = prefetch
        self._wait = wait
        self._acknowledged = threading.Event()
        self._polls = False

    def __next__(self) -> MessageProxy | None:
        self._broker.heartbeat.beat()
        self._acknowledged.clear()
        message: MessageProxy | None = next(self._own)
        if message is None:
            if self._own.outstanding_message_count < self._prefetch:
                self._wait_for_message()
            else:
                self._acknowledged.wait(self._wait)
        return message

    def ack(self, message: MessageProxy) -> None:
        self._own.ack(message)
        self._acknowledged.set()

    def nack(self, message: MessageProxy) -> None:
        self._own.nack(message)
        self._acknowledged.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._own.requeue(messages)

    def _wait_for_message(self) -> None:
        try:
            # Puts the first id where it was, so this only waits until there is one. Whoever takes it is decided by
            # Dramatiq's own script.
            self._broker.client.blmove(self._list, self._list, self._wait, "LEFT", "LEFT")
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            if not self._polls:
                self._polls = True
                log.warning("queue is polled", reason="redis does not let us wait", error=type(error).__name__)
            time.sleep(UNWOKEN_PAUSE)


def make_broker(url: str, *, namespace: str = "recado", heartbeats: Heartbeats | None = None) -> NudgeBroker:
    """Return a broker that connects at its first use."""
    try:
        pool = redis.ConnectionPool.from_url(url, **SOCKET_OPTIONS)
    except ValueError:
        # Its text may quote the URL, and with it the password.
        raise ConfigurationError("REDIS_URL is malformed: it must look like redis://host:6379/0") from None
    return NudgeBroker(redis.Redis(connection_pool=pool), namespace, (heartbeats or Heartbeats()).of("queue"))


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

    def __init__(self, broker: RedisBroker, heartbeats: Heartbeats | None = None) -> None:
        self._broker = broker
        self._heartbeat = (heartbeats or Heartbeats()).of("nudger")
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
        try:
            self._heartbeat.rest()
            while (first := self._waiting.get()) is not None:
                self._heartbeat.beat()
                self._enqueue([first, *self._others()])
                self._closing.wait(self.PACE)
                self._heartbeat.rest()
        finally:
            self._heartbeat.end()

    def _enqueue(self, nudges: Sequence[Nudge]) -> None:
        try:
            self._broker.enqueue(message(nudges))
        except (dramatiq.BrokerError, redis.RedisError, OSError) as error:
            log.warning("nudge lost", error=type(error).__name__, reason="the sweep will find the conversation")
        except Exception:
            # The thread must go on: without it every answer waits for a sweep.
            log.exception("nudge lost")

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
