"""The contacts of a chaos run: each sends its messages in order, and repeats a request until it is acknowledged."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.chaos.message_plan import PlannedMessage
from bench.webhook_client import WebhookClient, contact_address, new_message_sid
from devkit.stack import Number

DUPLICATE_DELAY = (0.3, 8.0)
RETRY_DELAY = (0.1, 0.5)
BOOKING_TIMEOUT = 90.0
"""Seconds that a booking waits for the answer to the contact's booking before it."""
ACKNOWLEDGED = 200


@dataclass
class SendCounts:
    """Counts of messages and of the requests for them.

    `acknowledged` maps the token of a message to its MessageSid. `retries` are requests after a failed one.
    `duplicates` are requests after an acknowledged one, or beside the first one.
    `refused` names the messages that were answered with a 4xx status.
    """

    messages: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    duplicates: int = 0
    refused: list[str] = field(default_factory=list)


class MessageSender:
    """Sends the planned messages of all contacts.

    `number_of` returns the number that a contact writes to. `is_answered` tells whether a reply names a token.
    """

    def __init__(
        self,
        client: WebhookClient,
        number_of: Callable[[int], Number],
        seed: int,
        is_answered: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._number_of = number_of
        self._rng = random.Random(f"{seed}/senders")
        self._is_answered = is_answered
        self._late_duplicates: set[asyncio.Task[None]] = set()
        self.counts = SendCounts()

    async def send_all(self, plan: Sequence[Sequence[PlannedMessage]]) -> None:
        """Send all messages, and return when each of them, and each late duplicate, is acknowledged or refused."""
        self.counts.messages = sum(map(len, plan))
        async with asyncio.TaskGroup() as group:
            for messages in plan:
                group.create_task(self._send_in_order(messages))
        await asyncio.gather(*self._late_duplicates)

    async def _send_in_order(self, messages: Sequence[PlannedMessage]) -> None:
        booking: str | None = None
        for message in messages:
            await asyncio.sleep(message.delay)
            # The scripted model makes one booking per turn, so two requests must not be answered in one turn.
            if message.booking and booking:
                await self._wait_for_answer(booking)
            booking = message.token if message.booking else booking
            await self._send(message)

    async def _wait_for_answer(self, token: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOKING_TIMEOUT):
                while not self._is_answered(token):
                    await asyncio.sleep(0.2)

    async def _send(self, message: PlannedMessage) -> None:
        sid = new_message_sid()
        number, address = self._number_of(message.contact), contact_address(message.contact)
        request = self._client.message_request(number, address, message.text, sid)
        duplicates = [self._post_once(request), self._post_once(request)] if message.duplicates == "together" else []
        await asyncio.gather(self._post_until_acknowledged(request, message.token), *duplicates)
        self.counts.acknowledged[message.token] = sid
        if message.duplicates == "later":
            self._late_duplicates.add(asyncio.create_task(self._post_late_duplicates(request, message.token)))

    async def _post_once(self, request: bytes) -> None:
        self.counts.requests += 1
        self.counts.duplicates += 1
        await self._client.post_for_status(request)

    async def _post_late_duplicates(self, request: bytes, token: str) -> None:
        for _ in range(2):
            await asyncio.sleep(self._rng.uniform(*DUPLICATE_DELAY))
            self.counts.duplicates += 1
            await self._post_until_acknowledged(request, token)

    async def _post_until_acknowledged(self, request: bytes, token: str) -> None:
        self.counts.requests += 1
        while (status := await self._client.post_for_status(request)) != ACKNOWLEDGED:
            if 400 <= status < 500:
                self.counts.refused.append(f"{token}: {status}")
                return
            await asyncio.sleep(self._rng.uniform(*RETRY_DELAY))
            self.counts.requests += 1
            self.counts.retries += 1
