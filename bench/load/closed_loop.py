"""Contacts in closed loops: each writes, waits for its reply, and writes again."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.receiver import Sent
from bench.traffic import Poster, contact_address
from devkit.stack import Number

REPLY_WITHIN = 60.0


class Stalled(Exception):
    """The system did not do what a measure waits for."""


@dataclass
class Tally:
    """What closed loops saw. Latencies are seconds from the webhook's first byte to the reply's post."""

    elapsed: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Replies per second."""
        return len(self.latencies) / self.elapsed if self.elapsed else 0.0


class Talk:
    """Writes as contacts of one number, and is told of the replies."""

    def __init__(self, poster: Poster, number: Number) -> None:
        self._poster = poster
        self._number = number
        self._waiting: dict[str, asyncio.Future[Sent]] = {}
        self._texts = 0

    def heard(self, sent: Sent) -> None:
        """A reply was posted."""
        waiter = self._waiting.pop(sent.contact, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(sent)

    def expect(self, contact: str) -> "asyncio.Future[Sent]":
        """The contact's next reply."""
        waiter = self._waiting[contact] = asyncio.get_running_loop().create_future()
        return waiter

    async def exchange(self, contact: int) -> float:
        """One message of its own and its reply; the seconds between. Raises Stalled."""
        self._texts += 1
        text = f"mensagem {self._texts} do contato {contact}"
        began = time.perf_counter()
        sent = await self._answer(contact, text)
        if text not in sent.body:
            raise Stalled(f"{sent.contact} wrote {text!r} and got {sent.body!r}")
        return sent.at - began

    async def say(self, contact: int, text: str) -> str:
        """One message; what its reply says. Raises Stalled."""
        return (await self._answer(contact, text)).body

    async def _answer(self, contact: int, text: str) -> Sent:
        address = contact_address(contact)
        request = self._poster.webhook(self._number, address, text)
        reply = self.expect(address)
        if (status := await self._poster.status_of(request)) != 200:
            raise Stalled(f"the webhook answered {status or 'nothing'}")
        try:
            async with asyncio.timeout(REPLY_WITHIN):
                return await reply
        except TimeoutError:
            raise Stalled(f"no reply to {address} within {REPLY_WITHIN:.0f} s") from None

    async def rounds(self, contacts: Iterable[int], count: int) -> Tally:
        """Every contact makes `count` exchanges."""

        async def loop(contact: int) -> list[float]:
            return [await self.exchange(contact) for _ in range(count)]

        return await self._together([loop(contact) for contact in contacts])

    async def during(self, contacts: Iterable[int], seconds: float) -> Tally:
        """Every contact makes exchanges until the time is over."""
        end = time.perf_counter() + seconds

        async def loop(contact: int) -> list[float]:
            latencies: list[float] = []
            while time.perf_counter() < end:
                latencies.append(await self.exchange(contact))
            return latencies

        return await self._together([loop(contact) for contact in contacts])

    @staticmethod
    async def _together(loops: Sequence[Coroutine[Any, Any, list[float]]]) -> Tally:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
        tally = Tally(time.perf_counter() - began)
        for task in tasks:
            tally.latencies.extend(task.result())
        return tally
