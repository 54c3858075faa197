"""The contacts of a chaos run: each posts its messages in order, the same signed request until it is acknowledged."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.script import Written
from bench.traffic import Poster, contact_address, new_sid
from devkit.stack import Number

REPEAT_LATER = (0.3, 8.0)
RETRY_AFTER = (0.1, 0.5)
ANSWERED_WITHIN = 90.0
ACKNOWLEDGED = 200


@dataclass
class Sent:
    """What became of the posts."""

    messages: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Token to MessageSid."""
    posts: int = 0
    retries: int = 0
    repeats: int = 0
    refused: list[str] = field(default_factory=list)


class Senders:
    """All contacts. `answered` tells whether a token has been seen in a reply: bookings wait for one another."""

    def __init__(
        self, poster: Poster, numbers: Callable[[int], Number], seed: int, answered: Callable[[str], bool]
    ) -> None:
        self._poster = poster
        self._numbers = numbers
        self._random = random.Random(f"{seed}/senders")
        self._answered = answered
        self._later: set[asyncio.Task[None]] = set()
        self.sent = Sent()

    async def run(self, script: Sequence[Sequence[Written]]) -> None:
        """Returns when every message, and every repetition of one, was acknowledged."""
        self.sent.messages = sum(map(len, script))
        async with asyncio.TaskGroup() as group:
            for messages in script:
                group.create_task(self._contact(messages))
        await asyncio.gather(*self._later)

    async def _contact(self, messages: Sequence[Written]) -> None:
        booking: str | None = None
        for message in messages:
            await asyncio.sleep(message.pause)
            # The scripted model books once a turn, so two requests must not meet in one.
            if message.booking and booking:
                await self._until_answered(booking)
            booking = message.token if message.booking else booking
            await self._post(message)

    async def _until_answered(self, token: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWERED_WITHIN):
                while not self._answered(token):
                    await asyncio.sleep(0.2)

    async def _post(self, message: Written) -> None:
        sid = new_sid()
        number = self._numbers(message.contact)
        request = self._poster.webhook(number, contact_address(message.contact), message.text, sid)
        copies = [self._once(request), self._once(request)] if message.repeats == "together" else []
        await asyncio.gather(self._until_acknowledged(request, message.token), *copies)
        self.sent.acknowledged[message.token] = sid
        if message.repeats == "later":
            task = asyncio.create_task(self._repeat(request, message.token))
            self._later.add(task)

    async def _once(self, request: bytes) -> None:
        self.sent.posts += 1
        self.sent.repeats += 1
        await self._poster.status_of(request)

    async def _repeat(self, request: bytes, token: str) -> None:
        for _ in range(2):
            await asyncio.sleep(self._random.uniform(*REPEAT_LATER))
            self.sent.repeats += 1
            await self._until_acknowledged(request, token)

    async def _until_acknowledged(self, request: bytes, token: str) -> None:
        self.sent.posts += 1
        while (status := await self._poster.status_of(request)) != ACKNOWLEDGED:
            if 400 <= status < 500:
                self.sent.refused.append(f"{token}: {status}")
                return
            await asyncio.sleep(self._random.uniform(*RETRY_AFTER))
            self.sent.posts += 1
            self.sent.retries += 1
