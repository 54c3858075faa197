"""What a provider must be able to do, in our words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

MAX_BODY = 1600
"""Characters in one outgoing message, as UTF-16 counts them."""


@dataclass(frozen=True)
class InboundMessage:
    """A contact's message as the provider delivered it. All text is untrusted."""

    account_sid: str
    provider_sid: str
    sender: str
    recipient: str
    body: str
    profile_name: str | None
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class StatusUpdate:
    """What the provider says became of one outgoing message. `status` is one of the outbox's words."""

    outbox_id: int
    provider_sid: str
    status: str
    error_code: str


@dataclass(frozen=True)
class Credentials:
    """The account that owns a channel."""

    account_sid: str
    auth_token: str = field(repr=False)


@dataclass(frozen=True)
class OutgoingMessage:
    """One row of the outbox, ready for the wire."""

    outbox_id: int
    credentials: Credentials
    sender: str
    recipient: str
    body: str


@dataclass(frozen=True)
class Accepted:
    """The provider has the message."""

    provider_sid: str


@dataclass(frozen=True)
class NotSent:
    """The provider certainly does not have it, and it makes sense to try again after `retry_after` seconds."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Refused:
    """The provider will never take this message."""

    error_code: str


@dataclass(frozen=True)
class Unknown:
    """No answer, or none that says: the provider may have it. Look it up before anything else."""

    reason: str


SendResult = Accepted | NotSent | Refused | Unknown


class LookupFailed(Exception):
    """The provider could not be asked, so nothing is known yet."""


class Gateway(Protocol):
    """A provider's sending side."""

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Hands one message over. Never raises for what a provider or a network does."""
        ...

    async def find(self, message: OutgoingMessage, *, since: datetime) -> list[str]:
        """The provider's ids of messages that look like this one and were made at or after `since`.

        Raises LookupFailed.
        """
        ...


def split_body(text: str, limit: int = MAX_BODY) -> list[str]:
    """Cuts a text into parts of at most `limit` characters as Twilio counts them, in UTF-16.

    Cuts between paragraphs or lines where that leaves no short part, else between words; only a word that is longer
    than a whole part is cut itself.
    """
    parts: list[str] = []
    rest = text.strip()
    while len(rest) > (fits := _fitting(rest, limit)):
        cut = _cut(rest, fits)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts


def _fitting(text: str, limit: int) -> int:
    """How many characters of the text are at most `limit` units of UTF-16."""
    head = text[:limit]
    while len(head) + (wide := sum(character > "\uffff" for character in head)) > limit:
        head = head[: len(head) - max(1, (len(head) + wide - limit) // 2)]
    return len(head)


def _cut(text: str, fits: int) -> int:
    for mark in ("\n\n", "\n"):
        if (at := text.rfind(mark, fits // 2, fits + len(mark))) > 0:
            return at
    return max((at for mark in (" ", "\n") if (at := text.rfind(mark, 1, fits + 1)) > 0), default=fits)
