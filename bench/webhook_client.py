"""Webhooks of contacts' messages, as Twilio posts them: signed, over kept-alive connections."""

import time
import uuid
from urllib.parse import quote_plus, urlsplit

from devkit.simulators.twilio.keep_alive_client import ConnectFailed, HttpAnswer, IncompleteAnswer, KeepAliveClient
from devkit.simulators.twilio.signing import sign
from devkit.stack import WEBHOOK_PATH, Number

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 15.0
"""Seconds that Twilio waits for a webhook's answer."""
NO_ANSWER = 0
"""The status that stands for a request without an answer."""

Parameters = list[tuple[str, str]]


def contact_address(number: int) -> str:
    """Return the WhatsApp address of the contact with this number."""
    return f"whatsapp:+5511{900_000_000 + number}"


def new_message_sid() -> str:
    """Return a new MessageSid, in Twilio's format."""
    return f"SM{uuid.uuid4().hex}"


def message_parameters(number: Number, contact: str, body: str, sid: str) -> Parameters:
    """Return the form parameters that Twilio posts for one message of a contact."""
    digits = contact.removeprefix("whatsapp:+")
    return [
        ("SmsMessageSid", sid),
        ("NumMedia", "0"),
        ("ProfileName", "Contato"),
        ("MessageType", "text"),
        ("SmsSid", sid),
        ("WaId", digits),
        ("SmsStatus", "received"),
        ("Body", body),
        ("To", number.address),
        ("NumSegments", "1"),
        ("ReferralNumMedia", "0"),
        ("MessageSid", sid),
        ("AccountSid", number.account_sid),
        ("From", contact),
        ("ApiVersion", "2010-04-01"),
    ]


def signed_request(base_url: str, target: str, parameters: Parameters, token: str) -> bytes:
    """Return the bytes of one signed HTTP request.

    The same bytes can be sent again: Twilio also repeats a webhook with the same signature.
    """
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in parameters).encode()
    head = (
        f"POST {target} HTTP/1.1\r\n"
        f"Host: {urlsplit(base_url).netloc}\r\n"
        "User-Agent: TwilioProxy/1.1\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Twilio-Signature: {sign(base_url + target, parameters, token)}\r\n\r\n"
    )
    return head.encode() + body


class WebhookClient:
    """Posts webhooks to one API process. It never repeats a request by itself."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        parts = urlsplit(base_url)
        self._origin = (parts.hostname or "", parts.port or 80)
        self._client = KeepAliveClient()

    def message_request(self, number: Number, contact: str, body: str, sid: str | None = None) -> bytes:
        """Return the signed webhook request for one message of a contact."""
        parameters = message_parameters(number, contact, body, sid or new_message_sid())
        return signed_request(self.base_url, WEBHOOK_PATH, parameters, number.auth_token)

    async def post(self, request: bytes) -> HttpAnswer:
        """Post a request, and return the answer. Raises ConnectFailed or IncompleteAnswer."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        return await self._client.send(self._origin, request, CONNECT_TIMEOUT, ANSWER_TIMEOUT, deadline)

    async def post_for_status(self, request: bytes) -> int:
        """Post a request, and return the HTTP status, or NO_ANSWER."""
        try:
            return (await self.post(request)).status
        except (ConnectFailed, IncompleteAnswer):
            return NO_ANSWER

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()
