"""The replies that the simulated Twilio accepted, read while the chaos run goes on."""

import asyncio

from bench.chaos.oracle import DeliveredReply
from bench.simulator_control import SimulatorControl

POLL = 0.3


class TwilioLogReader:
    """Reads the outbound messages of the simulated Twilio. `delivered` has them in the order of acceptance."""

    def __init__(self, twilio: SimulatorControl) -> None:
        self._twilio = twilio
        self._next_index = 0
        self._tokens: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.delivered: list[DeliveredReply] = []

    def is_answered(self, token: str) -> bool:
        """Return whether a reply that was read names the token."""
        return token in self._tokens

    def start(self) -> None:
        """Read new messages every POLL seconds from now on."""
        self._task = asyncio.create_task(self._read_repeatedly())

    async def stop(self) -> None:
        """Stop to read repeatedly."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def read(self) -> None:
        """Read the messages that were accepted since the last read."""
        page = await self._twilio.get("messages", since=self._next_index, direction="outbound")
        for message in page["messages"]:
            outbox_id = str(message.get("status_callback", "")).rpartition("o=")[2]
            reply = DeliveredReply(message["to"], message["body"], message["sid"], outbox_id, message["accepted_at"])
            self.delivered.append(reply)
            self._tokens.update(reply.tokens)
        self._next_index = page["index"]

    async def _read_repeatedly(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(POLL)
