"""Parse and verify Twilio's webhooks: signatures, messages, status callbacks."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from app.channels.base import InboundMessage, StatusUpdate
from app.errors import WebhookRefused

MAX_REQUEST = 64 * 1024
"""The size limit of a request body, in bytes. WhatsApp's longest text has 4,096 characters."""
MAX_PARAMETERS = 150
MAX_MEDIA = 10

SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
ADDRESS = re.compile(r"whatsapp:[+0-9A-Za-z.]{3,150}")
FORM = "application/x-www-form-urlencoded"

STATUSES = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}

Parameters = list[tuple[str, str]]


class _Form(dict[str, list[str]]):
    """Every value of every parameter, in the shape that Twilio's validator takes."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def parse_form(content_type: str, body: bytes) -> Parameters:
    """Return the parameters in their order, blank ones included. Raises WebhookRefused (400)."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise WebhookRefused(400, f"the body must be {FORM}")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise WebhookRefused(400, "the body is not percent-encoded UTF-8") from None
    except ValueError:
        raise WebhookRefused(400, f"more than {MAX_PARAMETERS} parameters") from None


def signature_is_valid(tokens: Iterable[str], url: str, parameters: Parameters, signature: str | None) -> bool:
    """Return whether one of the tokens made this signature over the URL and all parameters."""
    if not signature or len(signature) > 100:
        return False
    form = _Form()
    for name, value in parameters:
        form.setdefault(name, []).append(value)
    return any(RequestValidator(token).validate(url, form, signature) for token in tokens)


def addressed_to(parameters: Parameters) -> tuple[str, str]:
    """Return (AccountSid, To) of a message, which identify its channel. Raises WebhookRefused (400)."""
    fields = dict(parameters)
    return _matching(fields, "AccountSid", ACCOUNT_SID), _matching(fields, "To", ADDRESS)


def sent_from(parameters: Parameters) -> tuple[str, str]:
    """Return (AccountSid, From) of a status callback, which identify its channel. Raises WebhookRefused (400)."""
    fields = dict(parameters)
    return _matching(fields, "AccountSid", ACCOUNT_SID), _matching(fields, "From", ADDRESS)


def parse_message(parameters: Parameters) -> InboundMessage:
    """Return the message of a verified webhook. Raises WebhookRefused (400) when it cannot be stored."""
    fields = dict(parameters)
    if any("\x00" in value for value in fields.values()):
        raise WebhookRefused(400, "a parameter holds a NUL character")
    return InboundMessage(
        account_sid=_matching(fields, "AccountSid", ACCOUNT_SID),
        provider_sid=_matching(fields, "MessageSid", SID),
        sender=_matching(fields, "From", ADDRESS),
        recipient=_matching(fields, "To", ADDRESS),
        body=fields.get("Body", ""),
        profile_name=fields.get("ProfileName", "")[:200] or None,
        payload=_payload(fields),
    )


def parse_status(outbox_id: str | None, parameters: Parameters) -> StatusUpdate:
    """Return the status of a verified callback. Raises WebhookRefused (400)."""
    fields = dict(parameters)
    if not outbox_id or not outbox_id.isascii() or not outbox_id.isdigit() or len(outbox_id) > 18:
        raise WebhookRefused(400, "the query parameter o is missing or not a number")
    status = STATUSES.get(fields.get("MessageStatus", ""))
    if status is None:
        raise WebhookRefused(400, "MessageStatus is missing or unknown")
    return StatusUpdate(
        outbox_id=int(outbox_id),
        provider_sid=_matching(fields, "MessageSid", SID),
        status=status,
        error_code=re.sub(r"[^0-9]", "", fields.get("ErrorCode", ""))[:10],
    )


def _payload(fields: dict[str, str]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    if button := fields.get("ButtonPayload") or fields.get("ListId"):
        payload["button"] = button[:256]
    count = fields.get("NumMedia", "0")
    number = min(int(count), MAX_MEDIA) if count.isascii() and count.isdigit() and len(count) < 4 else 0
    media = [
        {"url": fields[f"MediaUrl{i}"], "content_type": fields.get(f"MediaContentType{i}", "")}
        for i in range(number)
        if f"MediaUrl{i}" in fields
    ]
    if media:
        payload["media"] = media
    if "Latitude" in fields and "Longitude" in fields:
        payload["location"] = {"latitude": fields["Latitude"][:32], "longitude": fields["Longitude"][:32]}
    return payload


def _matching(fields: dict[str, str], name: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(name, "")
    if not pattern.fullmatch(value):
        raise WebhookRefused(400, f"{name} is missing or malformed")
    return value
