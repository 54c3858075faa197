import asyncio
from collections.abc import Coroutine
from typing import Any

from devkit.simulators.twilio.faults import POSTING, Faults
from devkit.simulators.twilio.state import Message, Store
from devkit.simulators.twilio.webhooks import Outcome, Params, Webhooks, idempotency_token


class Lifecycle:
    """What happens to a message after it was accepted: its statuses, and the callbacks that tell of them."""

    def __init__(self, store: Store, faults: Faults, webhooks: Webhooks, delay: float, auto_read: bool) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._delay = delay
        self._auto_read = auto_read
        self._running: dict[str, asyncio.Task[None]] = {}
        self._seen: set[str] = set()

    def start(self, message: Message) -> None:
        self._spawn(message, self._deliver(message))

    def mark_read(self, message: Message) -> None:
        """The contact has seen it. Noted for later while the message is still on its way."""
        if message.status == "delivered" and message.sid not in self._running:
            self._spawn(message, self._advance(message, "read"))
        elif message.sid in self._running and message.status != "read":
            self._seen.add(message.sid)

    def cancel(self) -> None:
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._seen.clear()

    def _spawn(self, message: Message, steps: Coroutine[Any, Any, None]) -> None:
        self._running[message.sid] = asyncio.create_task(self._run(message, steps))

    async def _run(self, message: Message, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        finally:
            self._running.pop(message.sid, None)
            self._seen.discard(message.sid)

    async def _deliver(self, message: Message) -> None:
        faults = self._faults.callbacks
        final = "undelivered" if faults.draw("p_undelivered") else "delivered"
        swapped = bool(faults.draw("p_reorder"))
        await asyncio.sleep(self._delay)
        await self._advance(message, "sent", told=not swapped)
        await asyncio.sleep(self._delay)
        if final == "undelivered":
            message.error_code = int(faults["error_code"])
        await self._advance(message, final)
        if swapped:
            await self._tell(message, "sent")
        if final == "delivered" and (self._auto_read or message.sid in self._seen):
            await asyncio.sleep(self._delay)
            await self._advance(message, "read")

    async def _advance(self, message: Message, status: str, told: bool = True) -> None:
        self._store.set_status(message, status)
        if told:
            await self._tell(message, status)

    async def _tell(self, message: Message, status: str) -> None:
        url = message.details.get("status_callback")
        if url is None:
            return
        fault = self._faults.callbacks.draw(*POSTING)
        if fault == "p_drop":
            self._store.stats.callbacks_dropped += 1
            return
        if delay_ms := self._faults.callbacks["delay_ms"]:
            await asyncio.sleep(delay_ms / 1000)
        params = _params(message, status)
        for _ in range(2 if fault == "p_duplicate" else 1):
            outcome = await self._post(message, url, params, status)
            if outcome.ok:
                self._store.stats.callbacks_posted += 1
            else:
                self._store.stats.callbacks_failed += 1

    async def _post(self, message: Message, url: str, params: Params, status: str) -> Outcome:
        token = self._store.accounts[message.account_sid]
        async with self._store.numbers[message.number].slots:
            return await self._webhooks.post(url, params, token, idempotency_token(message.sid, status))


def _params(message: Message, status: str) -> Params:
    params = [
        ("SmsSid", message.sid),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", message.recipient),
        ("MessageSid", message.sid),
        ("AccountSid", message.account_sid),
        ("From", message.sender),
        ("ApiVersion", "2010-04-01"),
    ]
    if message.sender.startswith("whatsapp:"):
        install = idempotency_token(message.sender).replace("-", "")
        params += [
            ("ChannelPrefix", "whatsapp"),
            ("ChannelInstallSid", f"XE{install}"),
            ("ChannelToAddress", message.recipient.removeprefix("whatsapp:")),
            ("StructuredMessage", "false"),
        ]
        if status in ("delivered", "read"):
            params.append(("EventType", status.upper()))
    if service := message.details.get("messaging_service_sid"):
        params.append(("MessagingServiceSid", service))
    if status == "undelivered":
        params.append(("ErrorCode", str(message.error_code)))
        params.append(("ErrorMessage", "The message was not delivered"))
    return params
