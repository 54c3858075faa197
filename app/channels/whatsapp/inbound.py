"""Parse and verify Twilio's webhooks: signatures, messages, status callbacks.

What Twilio has signed is never refused for its content. It is stored without what cannot be stored.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote_to_bytes

import structlog
from twilio.request_validator import RequestValidator

from app.channels.base import InboundMessage, StatusUpdate
from app.channels.whatsapp.message_parts import parts_of
from app.errors import WebhookRefused

log = structlog.get_logger()

MAX_REQUEST = 256 * 1024
"""The size limit of a request body, in bytes. WhatsApp's longest text takes 49 KB: 4,096 emoji, each as 12 bytes."""
MAX_PARAMETERS = 2_000
"""Twilio sends some 50. A body is read before we know who has sent it."""
LONGEST_BODY = 32_000
"""The number of characters of a text that are stored."""
LONGEST_NAME = 200

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
OWN_ADDRESS = re.compile(r"whatsapp:[+0-9A-Za-z.]{3,150}")
ADDRESS = re.compile(r"[!-~]{3,160}")
"""The address of a sender. Besides numbers there are ids such as whatsapp:US.ABC123, and there may be others."""
SID = re.compile(r"[!-~]{1,64}")
FORM = "application/x-www-form-urlencoded"
SURROGATE = re.compile("[\ud800-\udfff]")

STATUSES = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "partially_delivered": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}

Pairs = list[tuple[bytes, bytes]]
Fields = Mapping[str, str]
"""The texts of a form by name."""


@dataclass(frozen=True)
class Form:
    """A posted form. `pairs` are the names and values as they were signed, in their order, blank ones included."""

    pairs: Pairs

    @cached_property
    def fields(self) -> Fields:
        """The texts by name, without what Postgres cannot store. Of several values the last one counts."""
        return {_text(name): _text(value) for name, value in self.pairs}

    @property
    def digest(self) -> str:
        """An id of the content, for a message that came without one. A repeated post has the same."""
        content = b"&".join(sorted(name + b"=" + value for name, value in self.pairs))
        return hashlib.sha256(content).hexdigest()[:32]


class _ByteValidator(RequestValidator):  # type: ignore[misc]
    """Computes the signature over the bytes as they came, which may be no valid text."""

    def compute_signature(self, uri: str, params: Pairs, algorithm: str | None = None) -> str:
        signed = uri.encode() + b"".join(name + value for name, value in sorted(set(params)))
        return base64.b64encode(hmac.digest(self.token, signed, "sha1")).decode()


def parse_form(content_type: str, body: bytes) -> Form:
    """Return the form. Raises WebhookRefused (400) for another type of content, and for too many parameters."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise WebhookRefused(400, f"the body must be {FORM}")
    if body.count(b"&") >= MAX_PARAMETERS:
        raise WebhookRefused(400, f"more than {MAX_PARAMETERS} parameters")
    parts = (part.replace(b"+", b" ").partition(b"=") for part in body.split(b"&") if part)
    return Form([(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in parts])


def signature_is_valid(tokens: Iterable[str], url: str, form: Form, signature: str | None) -> bool:
    """Return whether one of the tokens made this signature over the URL and all parameters."""
    if not signature or len(signature) > 100:
        return False
    return any(_ByteValidator(token).validate(url, form.pairs, signature) for token in tokens)


def addressed_to(fields: Fields) -> tuple[str, str]:
    """Return (AccountSid, To) of a message, which identify its channel. Raises WebhookRefused (400)."""
    return _matching(fields, "AccountSid", ACCOUNT_SID), _matching(fields, "To", OWN_ADDRESS)


def sent_from(fields: Fields) -> tuple[str, str]:
    """Return (AccountSid, From) of a status callback, which identify its channel. Raises WebhookRefused (400)."""
    return _matching(fields, "AccountSid", ACCOUNT_SID), _matching(fields, "From", OWN_ADDRESS)


def parse_message(form: Form) -> InboundMessage:
    """Return the message of a verified webhook. Raises WebhookRefused (400) when it does not say who wrote."""
    fields = form.fields
    sids = (fields.get(name, "") for name in ("MessageSid", "SmsMessageSid", "SmsSid"))
    sid = next((sid for sid in sids if SID.fullmatch(sid)), None)
    if sid is None:
        log.warning("a message without an id", account_sid=fields.get("AccountSid"))
    body, payload = parts_of(fields)
    return InboundMessage(
        account_sid=_matching(fields, "AccountSid", ACCOUNT_SID),
        provider_sid=sid or f"content-{form.digest}",
        sender=_matching(fields, "From", ADDRESS),
        recipient=_matching(fields, "To", OWN_ADDRESS),
        wa_id=fields.get("WaId", "")[:160],
        body=_cut(body, LONGEST_BODY, "Body"),
        profile_name=fields.get("ProfileName", "")[:LONGEST_NAME].strip() or None,
        payload=payload,
    )


def parse_status(outbox_id: str | None, form: Form) -> StatusUpdate | None:
    """Return the status of a verified callback. None: it names no row of ours, or no message."""
    fields = form.fields
    named, sid = fields.get("MessageStatus") or fields.get("SmsStatus", ""), fields.get("MessageSid", "")
    ours = outbox_id is not None and outbox_id.isascii() and outbox_id.isdigit() and len(outbox_id) <= 18
    if outbox_id is None or not ours or not SID.fullmatch(sid):
        log.warning("status callback for no row of ours", status=named[:50], has_id=ours)
        return None
    if named not in STATUSES:
        log.warning("status callback with an unknown status", outbox_id=int(outbox_id), status=named[:50])
    return StatusUpdate(
        outbox_id=int(outbox_id),
        provider_sid=sid,
        # Whatever it means, Twilio has the message.
        status=STATUSES.get(named, "sent"),
        error_code=re.sub(r"[^0-9]", "", fields.get("ErrorCode", ""))[:10],
    )


def _text(value: bytes) -> str:
    """Return a value as text that Postgres can store."""
    try:
        text = value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = value.decode("cp1252", "replace")
    if SURROGATE.search(text):
        # Joins the halves of a character that were encoded one by one, and drops a half that is alone.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return text.replace("\x00", "")


def _cut(text: str, longest: int, name: str) -> str:
    if len(text) > longest:
        log.warning("a text is cut", name=name, characters=len(text), kept=longest)
    return text[:longest]


def _matching(fields: Fields, name: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(name, "")
    if not pattern.fullmatch(value):
        raise WebhookRefused(400, f"{name} is missing or malformed")
    return value
