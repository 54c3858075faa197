"""Post the messages of contacts to the webhooks of their numbers."""

import asyncio
import re
from typing import Any

from devkit.simulators.twilio.numbers import ADDRESS
from devkit.simulators.twilio.store import INBOUND, MessageStore, SimulatedNumber, TwilioMessage, dump_json, new_sid
from devkit.simulators.twilio.webhooks import Params, WebhookResult, WebhookSender, idempotency_token

SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
TEXTS = ("from", "to", "body", "profile_name", "message_sid", "button_payload", "button_text")


class InboundMessages:
    """The messages of contacts. Each is posted to its number's webhook once, or several times at once."""

    def __init__(self, store: MessageStore, webhooks: WebhookSender) -> None:
        self._store = store
        self._webhooks = webhooks
        self._sending: set[asyncio.Task[dict[str, Any]]] = set()

    async def send(self, data: dict[str, Any]) -> dict[str, Any]:
        """Post a message, and return the answers. A known `message_sid` is posted as before. Raises ValueError."""
        number, copies = self._check(data)
        message = self._store.by_sid.get(data.get("message_sid", "")) or self._accept(number, data)
        # Shielded: the message is posted even if the client of the control endpoint disconnects.
        task = asyncio.create_task(self._send(number, message, copies))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return await asyncio.shield(task)

    async def _send(self, number: SimulatedNumber, message: TwilioMessage, copies: int) -> dict[str, Any]:
        message.webhook = None
        self._store.publish(message)
        results = await asyncio.gather(*(self._post(number, message) for _ in range(1 + copies)))
        first, *others = (result.as_json() for result in results)
        message.webhook = {name: first[name] for name in ("ok", "status", "elapsed_ms", "error", "error_code")}
        self._store.publish(message)
        return {"message_sid": message.sid, "index": message.index, **first, "duplicates": others}

    def _check(self, data: dict[str, Any]) -> tuple[SimulatedNumber, int]:
        known = {*TEXTS, "params", "duplicate"}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        if wrong := [name for name in TEXTS if not isinstance(data.get(name, ""), str)]:
            raise ValueError(f"{wrong[0]} must be a text")
        number = self._store.numbers.get(data.get("to", ""))
        if number is None:
            raise ValueError(f"to must be one of the numbers: {', '.join(self._store.numbers) or 'there are none'}")
        if not ADDRESS.fullmatch(data.get("from", "")):
            raise ValueError("from must look like whatsapp:+5511987654321")
        if "message_sid" in data and not SID.fullmatch(data["message_sid"]):
            raise ValueError("message_sid must be SM or MM and 32 hex digits")
        params = data.get("params", {})
        if not isinstance(params, dict) or not all(isinstance(value, str) for value in params.values()):
            raise ValueError("params must be an object of texts")
        copies = data.get("duplicate", 0)
        if not isinstance(copies, int) or not 0 <= copies <= 100:
            raise ValueError("duplicate must be a whole number, at most 100")
        return number, copies

    def _accept(self, number: SimulatedNumber, data: dict[str, Any]) -> TwilioMessage:
        names = ("profile_name", "button_payload", "button_text", "params")
        return self._store.accept(
            number,
            data["from"],
            direction=INBOUND,
            sid=data.get("message_sid") or new_sid("SM"),
            body=data.get("body", ""),
            status="received",
            details={name: data[name] for name in names if data.get(name)},
        )

    async def _post(self, number: SimulatedNumber, message: TwilioMessage) -> WebhookResult:
        token = self._store.accounts[number.account_sid]
        idempotency = idempotency_token(message.sid, "received")
        result = await self._webhooks.post(number.webhook_url, _params(message), token, idempotency)
        if result.ok:
            self._store.stats.inbound_sent += 1
        else:
            self._store.stats.inbound_failed += 1
        return result


def _params(message: TwilioMessage) -> Params:
    details = message.details
    contact = message.sender.removeprefix("whatsapp:")
    who = {"WaId": contact.removeprefix("+")} if contact.startswith("+") else {}
    if name := details.get("profile_name"):
        who["ProfileName"] = name
    params = {
        "SmsMessageSid": message.sid,
        "NumMedia": "0",
        "MessageType": "text",
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "To": message.recipient,
        "NumSegments": "1",
        "ReferralNumMedia": "0",
        "MessageSid": message.sid,
        "AccountSid": message.account_sid,
        "From": message.sender,
        "ApiVersion": "2010-04-01",
        **who,
    }
    if message.sender.startswith("whatsapp:"):
        params["ChannelMetadata"] = dump_json({"type": "whatsapp", "data": {"context": who}}).decode()
    if payload := details.get("button_payload"):
        text = details.get("button_text") or message.body
        params |= {"MessageType": "button", "ButtonType": "REPLY", "ButtonPayload": payload, "ButtonText": text}
    return list((params | details.get("params", {})).items())
