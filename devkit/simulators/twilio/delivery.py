"""Move accepted messages through their statuses, and post the status callbacks."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from devkit.simulators.twilio.faults import CALLBACK_FAULTS, TwilioFaultInjector
from devkit.simulators.twilio.store import MessageStore, TwilioMessage
from devkit.simulators.twilio.webhooks import Params, WebhookResult, WebhookSender, idempotency_token


class DeliverySimulation:
    """The delivery of messages to contacts. `delay` is the seconds between two statuses."""

    def __init__(
        self, store: MessageStore, faults: TwilioFaultInjector, webhooks: WebhookSender, delay: float, auto_read: bool
    ) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._delay = delay
        self._auto_read = auto_read
        self._running: dict[str, asyncio.Task[None]] = {}
        self._read_early: set[str] = set()

    def start(self, message: TwilioMessage) -> None:
        """Start the delivery of an accepted message."""
        self._spawn(message, self._deliver(message))

    def mark_read(self, message: TwilioMessage) -> None:
        """Mark a message as read. If it is not delivered yet, it is marked after its delivery."""
        if message.status == "delivered" and message.sid not in self._running:
            self._spawn(message, self._set_status(message, "read"))
        elif message.sid in self._running and message.status != "read":
            self._read_early.add(message.sid)

    def cancel(self) -> None:
        """Cancel all deliveries."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._read_early.clear()

    def _spawn(self, message: TwilioMessage, steps: Coroutine[Any, Any, None]) -> None:
        self._running[message.sid] = asyncio.create_task(self._run(message, steps))

    async def _run(self, message: TwilioMessage, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        finally:
            self._running.pop(message.sid, None)
            self._read_early.discard(message.sid)

    async def _deliver(self, message: TwilioMessage) -> None:
        faults = self._faults.callbacks
        final = "undelivered" if faults.draw("p_undelivered") else "delivered"
        swapped = bool(faults.draw("p_reorder"))
        await asyncio.sleep(self._delay)
        await self._set_status(message, "sent", callback=not swapped)
        await asyncio.sleep(self._delay)
        if final == "undelivered":
            message.error_code = int(faults["error_code"])
        await self._set_status(message, final)
        if swapped:
            await self._post_status(message, "sent")
        if final == "delivered" and (self._auto_read or message.sid in self._read_early):
            await asyncio.sleep(self._delay)
            await self._set_status(message, "read")

    async def _set_status(self, message: TwilioMessage, status: str, callback: bool = True) -> None:
        self._store.set_status(message, status)
        if callback:
            await self._post_status(message, status)

    async def _post_status(self, message: TwilioMessage, status: str) -> None:
        url = message.details.get("status_callback")
        if url is None:
            return
        fault = self._faults.callbacks.draw(*CALLBACK_FAULTS)
        if fault == "p_drop":
            self._store.stats.callbacks_dropped += 1
            return
        if delay_ms := self._faults.callbacks["delay_ms"]:
            await asyncio.sleep(delay_ms / 1000)
        params = _params(message, status)
        for _ in range(2 if fault == "p_duplicate" else 1):
            result = await self._post(message, url, params, status)
            if result.ok:
                self._store.stats.callbacks_posted += 1
            else:
                self._store.stats.callbacks_failed += 1

    async def _post(self, message: TwilioMessage, url: str, params: Params, status: str) -> WebhookResult:
        token = self._store.accounts[message.account_sid]
        async with self._store.numbers[message.number].slots:
            return await self._webhooks.post(url, params, token, idempotency_token(message.sid, status))


def _params(message: TwilioMessage, status: str) -> Params:
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
