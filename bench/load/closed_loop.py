"""Closed-loop load: each contact sends a message, waits for the reply, and sends the next message."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.twilio_stub import PostedReply
from bench.webhook_client import WebhookClient, contact_address
from devkit.stack import Number

REPLY_TIMEOUT = 60.0
WEBHOOK_ACKNOWLEDGED = 200


class MeasurementFailed(Exception):
    """Nothing could be measured, because the system did not answer as expected."""


@dataclass
class LoopResult:
    """The duration of a load, and the latency of every reply, both in seconds.

    A latency is the time from the start of the webhook's request to the end of the reply's request at Twilio.
    """

    elapsed: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def replies_per_second(self) -> float:
        """Return the throughput."""
        return len(self.latencies) / self.elapsed if self.elapsed else 0.0


def check_acknowledged(status: int) -> None:
    """Raise MeasurementFailed when a webhook's HTTP status is not 200."""
    if status != WEBHOOK_ACKNOWLEDGED:
        raise MeasurementFailed(f"the API answered a webhook with {f'status {status}' if status else 'nothing'}")


class ClosedLoop:
    """Contacts in closed loops, who write to the numbers in turn. `on_reply` must be called for every reply."""

    def __init__(self, client: WebhookClient, *numbers: Number) -> None:
        self._client = client
        self._numbers = numbers
        self._waiting: dict[str, asyncio.Future[PostedReply]] = {}
        self._messages = 0

    def on_reply(self, reply: PostedReply) -> None:
        """Give a reply to the contact that waits for it. A reply that no contact waits for is ignored."""
        waiting = self._waiting.pop(reply.contact, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def next_reply(self, address: str) -> "asyncio.Future[PostedReply]":
        """Return a future of the next reply to a contact's address."""
        waiting = self._waiting[address] = asyncio.get_running_loop().create_future()
        return waiting

    async def measure_exchange(self, contact: int) -> float:
        """Send a message with a unique text, wait for its reply, and return the latency in seconds.

        Raises MeasurementFailed when there is no reply, or when the reply does not repeat the text.
        """
        self._messages += 1
        text = f"mensagem {self._messages} do contato {contact}"
        started = time.perf_counter()
        reply = await self._send_and_wait(contact, text)
        if text not in reply.body:
            raise MeasurementFailed(f"{reply.contact} wrote {text!r}, and the reply is {reply.body!r}")
        return reply.posted_at - started

    async def ask(self, contact: int, text: str) -> str:
        """Send a message, wait for its reply, and return the reply's text. Raises MeasurementFailed."""
        return (await self._send_and_wait(contact, text)).body

    async def _send_and_wait(self, contact: int, text: str) -> PostedReply:
        address = contact_address(contact)
        request = self._client.message_request(self._numbers[contact % len(self._numbers)], address, text)
        reply = self.next_reply(address)
        check_acknowledged(await self._client.post_for_status(request))
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                return await reply
        except TimeoutError:
            raise MeasurementFailed(f"no reply to {address} within {REPLY_TIMEOUT:.0f} s") from None

    async def run_rounds(self, contacts: Iterable[int], count: int) -> LoopResult:
        """Let all contacts make `count` exchanges at the same time."""

        async def loop(contact: int) -> list[float]:
            return [await self.measure_exchange(contact) for _ in range(count)]

        return await self._run_concurrently([loop(contact) for contact in contacts])

    async def run_for(self, contacts: Iterable[int], seconds: float) -> LoopResult:
        """Let all contacts make exchanges at the same time, and start no new one after some seconds."""
        end = time.perf_counter() + seconds

        async def loop(contact: int) -> list[float]:
            latencies: list[float] = []
            while time.perf_counter() < end:
                latencies.append(await self.measure_exchange(contact))
            return latencies

        return await self._run_concurrently([loop(contact) for contact in contacts])

    @staticmethod
    async def _run_concurrently(loops: Sequence[Coroutine[Any, Any, list[float]]]) -> LoopResult:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
        result = LoopResult(time.perf_counter() - started)
        for task in tasks:
            result.latencies.extend(task.result())
        return result
