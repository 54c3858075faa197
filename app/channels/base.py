"""The interface of a messaging provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

FREE_FORM_FOR = timedelta(hours=24) - timedelta(minutes=2)
"""How long after a contact's message WhatsApp takes free text: 24 hours. A message may take some time to reach us."""


@dataclass(frozen=True)
class InboundMessage:
    """A contact's message as the provider delivered it. All text is untrusted.

    `wa_id` is the contact's number at WhatsApp, without a plus sign, which may be another than `sender`. It may be "".
    `body` is what the contact has written, and `payload` what else the message has: see message_parts.
    """

    account_sid: str
    provider_sid: str
    sender: str
    recipient: str
    body: str
    profile_name: str | None
    payload: Mapping[str, Any]
    wa_id: str = ""


@dataclass(frozen=True)
class StatusUpdate:
    """A provider's status of an outgoing message. `status` is a status of the outbox."""

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
    """An outbox row, ready to be sent."""

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
    """The provider does not have the message. It can be sent again after `retry_after` seconds."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Refused:
    """The provider will never accept this message."""

    error_code: str


@dataclass(frozen=True)
class Unknown:
    """The answer was lost or ambiguous, so the provider may have the message. Look it up first."""

    reason: str


@dataclass(frozen=True)
class Unauthorized:
    """The provider refuses the credentials, whatever the message is. It does not have the message."""

    reason: str


SendResult = Accepted | NotSent | Refused | Unauthorized | Unknown


@dataclass(frozen=True)
class ListedMessage:
    """A message that the provider has. `age` is the time since its creation, by the provider's clock alone."""

    provider_sid: str
    same_text: bool
    age: timedelta


class LookupFailed(Exception):
    """The look-up failed, so the state of the message is still unknown."""


class LookupUnauthorized(LookupFailed):
    """The provider refuses the credentials of the look-up."""


class Gateway(Protocol):
    """The sending side of a provider."""

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Send a message. Never raises for errors of the provider or the network."""
        ...

    async def find(self, message: OutgoingMessage) -> list[ListedMessage]:
        """Return the provider's latest messages from this sender to this recipient, newest first.

        Raises LookupFailed.
        """
        ...

    async def takes_credentials(self, credentials: Credentials) -> bool | None:
        """Ask the provider whether it takes the credentials. None: the answer was lost or unclear."""
        ...

    @property
    def clock_skew(self) -> timedelta | None:
        """The provider's time minus ours, as its latest answer showed. None before the first answer."""
        ...


def free_form_allowed(contact_wrote_at: datetime | None, now: datetime) -> bool:
    """Return whether WhatsApp takes free text for a contact that wrote last at this time. None: it never wrote."""
    return contact_wrote_at is not None and now - contact_wrote_at < FREE_FORM_FOR
