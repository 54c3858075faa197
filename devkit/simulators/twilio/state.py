import asyncio
import json
import os
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

INBOUND = "inbound"
OUTBOUND = "outbound-api"
# How many status callbacks of one number may be on their way at once.
CALLBACKS_AT_ONCE = 64

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_index = attrgetter("index")


def dump(value: object) -> bytes:
    return _encode(value).encode()


def new_sid(prefix: str) -> str:
    return prefix + os.urandom(16).hex()


@dataclass(slots=True)
class Number:
    account_sid: str
    address: str
    webhook_url: str
    name: str
    suggestions: list[str]
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLBACKS_AT_ONCE))

    def as_json(self) -> dict[str, Any]:
        names = ("account_sid", "address", "webhook_url", "name", "suggestions")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Message:
    index: int
    sid: str
    account_sid: str
    direction: str
    sender: str
    recipient: str
    body: str
    status: str
    accepted_at: float
    details: dict[str, Any]
    history: list[tuple[str, float]]
    error_code: int | None = None
    webhook: dict[str, Any] | None = None

    @property
    def contact(self) -> str:
        return self.sender if self.direction == INBOUND else self.recipient

    @property
    def number(self) -> str:
        return self.recipient if self.direction == INBOUND else self.sender

    @property
    def sent_at(self) -> float | None:
        """Empty while the message is queued, as at Twilio."""
        if self.direction == INBOUND:
            return self.accepted_at
        return self.history[1][1] if len(self.history) > 1 else None

    def as_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "sid": self.sid,
            "account_sid": self.account_sid,
            "direction": self.direction,
            "from": self.sender,
            "to": self.recipient,
            "body": self.body,
            "status": self.status,
            "error_code": self.error_code,
            "accepted_at": self.accepted_at,
            "history": [{"status": status, "at": at} for status, at in self.history],
            "webhook": self.webhook,
            **self.details,
        }


@dataclass(slots=True)
class Stats:
    created: int = 0
    rejected: int = 0
    callbacks_posted: int = 0
    callbacks_failed: int = 0
    callbacks_dropped: int = 0
    inbound_sent: int = 0
    inbound_failed: int = 0


class Store:
    """Everything the simulator knows. In memory, in the order of acceptance."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.numbers: dict[str, Number] = {}
        self.index = 0
        self._watchers: defaultdict[str, set[asyncio.Queue[Message | None]]] = defaultdict(set)
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.clear()

    def clear(self) -> None:
        """Forgets the messages. Indexes go on growing, so a reader that waits past a reset sees only new ones."""
        self.stats = Stats()
        self.messages: list[Message] = []
        self.by_sid: dict[str, Message] = {}
        self.by_contact: defaultdict[str, list[Message]] = defaultdict(list)
        self.by_account: defaultdict[str, list[Message]] = defaultdict(list)
        for queues in self._watchers.values():
            for queue in queues:
                queue.put_nowait(None)

    def now(self) -> float:
        """Twilio's time, in epoch seconds."""
        return time.time()

    def put_number(self, number: Number, token: str) -> None:
        self.accounts[number.account_sid] = token
        self.numbers[number.address] = number

    def accept(
        self, number: Number, contact: str, *, direction: str, sid: str, body: str, status: str, details: dict[str, Any]
    ) -> Message:
        now = self.now()
        self.index += 1
        contact = sys.intern(contact)
        pair = (contact, number.address) if direction == INBOUND else (number.address, contact)
        message = Message(
            self.index, sid, number.account_sid, direction, *pair, body, status, now, details, [(status, now)]
        )
        self.messages.append(message)
        self.by_sid[sid] = message
        self.by_contact[contact].append(message)
        self.by_account[number.account_sid].append(message)
        self.publish(message)
        return message

    def set_status(self, message: Message, status: str) -> None:
        message.status = status
        message.history.append((status, self.now()))
        self.publish(message)

    def publish(self, message: Message) -> None:
        for queue in self._watchers.get(message.contact, ()):
            queue.put_nowait(message)
        if message.direction == OUTBOUND and self._waiters:
            for key in (message.contact, ""):
                for waiter in self._waiters.pop(key, ()):
                    if not waiter.done():
                        waiter.set_result(None)

    def watch(self, contact: str) -> "asyncio.Queue[Message | None]":
        """New and changed messages of a contact; None after a reset."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._watchers[contact].add(queue)
        return queue

    def unwatch(self, contact: str, queue: "asyncio.Queue[Message | None]") -> None:
        queues = self._watchers[contact]
        queues.discard(queue)
        if not queues:
            del self._watchers[contact]

    def since(self, index: int, contact: str = "", direction: str = "") -> list[Message]:
        messages = self.by_contact.get(contact, []) if contact else self.messages
        start = bisect_right(messages, index, key=_index)
        return [message for message in messages[start:] if message.direction.startswith(direction)]

    async def wait(self, contact: str, after: int, seconds: float) -> list[Message]:
        """Outbound messages after the index: at once, or as soon as there is one, or none when the time is over."""
        deadline = time.monotonic() + seconds
        while not (found := self.since(after, contact, OUTBOUND)):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[contact].add(waiter)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await waiter
            except TimeoutError:
                return []
            finally:
                self._forget(contact, waiter)
        return found

    def _forget(self, contact: str, waiter: "asyncio.Future[None]") -> None:
        waiters = self._waiters.get(contact)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[contact]
