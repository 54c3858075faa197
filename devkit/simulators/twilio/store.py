"""Keep numbers and messages in memory, and notify those who wait for messages."""

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
MAX_CALLBACKS_AT_ONCE = 64
"""The number of status callbacks of one number that are posted at the same time."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_index = attrgetter("index")


def dump_json(value: object) -> bytes:
    """Return compact JSON."""
    return _encode(value).encode()


def new_sid(prefix: str) -> str:
    """Return a random id as Twilio makes them."""
    return prefix + os.urandom(16).hex()


@dataclass(slots=True)
class SimulatedNumber:
    """A WhatsApp number, and the URL that its messages are posted to. `suggestions` are shown on the phone page."""

    account_sid: str
    address: str
    webhook_url: str
    name: str
    suggestions: list[str]
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CALLBACKS_AT_ONCE))

    def as_json(self) -> dict[str, Any]:
        """Return the fields that the control endpoints show."""
        names = ("account_sid", "address", "webhook_url", "name", "suggestions")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class TwilioMessage:
    """A message in either direction.

    `index` counts all messages. `details` are optional fields of the request. `history` has each status with its time
    in epoch seconds. `webhook` is the answer of the webhook to a message of a contact.
    """

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
        """The contact's address."""
        return self.sender if self.direction == INBOUND else self.recipient

    @property
    def number(self) -> str:
        """The number's address."""
        return self.recipient if self.direction == INBOUND else self.sender

    @property
    def sent_at(self) -> float | None:
        """The time of sending in epoch seconds. None while the message is queued, as at Twilio."""
        if self.direction == INBOUND:
            return self.accepted_at
        return self.history[1][1] if len(self.history) > 1 else None

    def as_json(self) -> dict[str, Any]:
        """Return the fields that the control endpoints show."""
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
    """Counts of messages and callbacks since the last reset."""

    created: int = 0
    rejected: int = 0
    callbacks_posted: int = 0
    callbacks_failed: int = 0
    callbacks_dropped: int = 0
    inbound_sent: int = 0
    inbound_failed: int = 0


class MessageStore:
    """The accounts, the numbers, and the messages in the order in which they were accepted."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.numbers: dict[str, SimulatedNumber] = {}
        self.index = 0
        self._watchers: defaultdict[str, set[asyncio.Queue[TwilioMessage | None]]] = defaultdict(set)
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.clear()

    def clear(self) -> None:
        """Forget the messages. Indexes go on, so a client that waits during a reset gets new messages only."""
        self.stats = Stats()
        self.messages: list[TwilioMessage] = []
        self.by_sid: dict[str, TwilioMessage] = {}
        self.by_contact: defaultdict[str, list[TwilioMessage]] = defaultdict(list)
        self.by_account: defaultdict[str, list[TwilioMessage]] = defaultdict(list)
        for queues in self._watchers.values():
            for queue in queues:
                queue.put_nowait(None)

    def now(self) -> float:
        """Return Twilio's time in epoch seconds."""
        return time.time()

    def put_number(self, number: SimulatedNumber, token: str) -> None:
        """Add a number, and set the token of its account."""
        self.accounts[number.account_sid] = token
        self.numbers[number.address] = number

    def accept(
        self,
        number: SimulatedNumber,
        contact: str,
        *,
        direction: str,
        sid: str,
        body: str,
        status: str,
        details: dict[str, Any],
    ) -> TwilioMessage:
        """Add a message, and notify the watchers."""
        now = self.now()
        self.index += 1
        contact = sys.intern(contact)
        pair = (contact, number.address) if direction == INBOUND else (number.address, contact)
        message = TwilioMessage(
            self.index, sid, number.account_sid, direction, *pair, body, status, now, details, [(status, now)]
        )
        self.messages.append(message)
        self.by_sid[sid] = message
        self.by_contact[contact].append(message)
        self.by_account[number.account_sid].append(message)
        self.publish(message)
        return message

    def set_status(self, message: TwilioMessage, status: str) -> None:
        """Set a message's status, and notify the watchers."""
        message.status = status
        message.history.append((status, self.now()))
        self.publish(message)

    def publish(self, message: TwilioMessage) -> None:
        """Notify the watchers of a new or changed message."""
        for queue in self._watchers.get(message.contact, ()):
            queue.put_nowait(message)
        if message.direction == OUTBOUND and self._waiters:
            for key in (message.contact, ""):
                for waiter in self._waiters.pop(key, ()):
                    if not waiter.done():
                        waiter.set_result(None)

    def watch(self, contact: str) -> "asyncio.Queue[TwilioMessage | None]":
        """Return a queue of a contact's new and changed messages. It gets None after a reset."""
        queue: asyncio.Queue[TwilioMessage | None] = asyncio.Queue()
        self._watchers[contact].add(queue)
        return queue

    def unwatch(self, contact: str, queue: "asyncio.Queue[TwilioMessage | None]") -> None:
        """Remove a queue of `watch`."""
        queues = self._watchers[contact]
        queues.discard(queue)
        if not queues:
            del self._watchers[contact]

    def since(self, index: int, contact: str = "", direction: str = "") -> list[TwilioMessage]:
        """Return messages with a larger index, of one contact and in one direction if given."""
        messages = self.by_contact.get(contact, []) if contact else self.messages
        start = bisect_right(messages, index, key=_index)
        return [message for message in messages[start:] if message.direction.startswith(direction)]

    async def wait(self, contact: str, after: int, seconds: float) -> list[TwilioMessage]:
        """Return the messages to a contact with an index above `after`. Wait up to `seconds` for the first."""
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
