"""What contacts send: webhooks as Twilio posts them, signed, over kept-alive connections."""

import time
import uuid
from urllib.parse import quote_plus, urlsplit

from devkit.simulators.twilio.keep_alive_client import ConnectFailed, HttpAnswer, IncompleteAnswer, KeepAliveClient
from devkit.simulators.twilio.signing import sign
from devkit.stack import WEBHOOK_PATH, Number

STATUS = "/api/v1/twilio/status"
ANSWER_WITHIN = 15.0
"""Seconds that Twilio waits for a webhook's answer."""

Parameters = list[tuple[str, str]]


def contact_address(number: int) -> str:
    """The address of the bench's contact of that number."""
    return f"whatsapp:+5511{900_000_000 + number}"


def new_sid() -> str:
    """A message id as Twilio makes them."""
    return f"SM{uuid.uuid4().hex}"


def message(number: Number, contact: str, body: str, sid: str) -> Parameters:
    """The parameters of the webhook for one message of a contact."""
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


def signed(base_url: str, target: str, parameters: Parameters, token: str) -> bytes:
    """The bytes of one signed request. Sent again they are the same request, as Twilio's own retries are."""
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


class Poster:
    """Posts requests to one address, each once."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        parts = urlsplit(base_url)
        self._origin = (parts.hostname or "", parts.port or 80)
        self._client = KeepAliveClient()

    def webhook(self, number: Number, contact: str, body: str, sid: str | None = None) -> bytes:
        """A contact's message as a signed request."""
        parameters = message(number, contact, body, sid or new_sid())
        return signed(self.base_url, WEBHOOK_PATH, parameters, number.auth_token)

    async def post(self, request: bytes) -> HttpAnswer:
        """The answer. Raises ConnectFailed or IncompleteAnswer."""
        deadline = time.monotonic() + ANSWER_WITHIN
        return await self._client.send(self._origin, request, 5.0, ANSWER_WITHIN, deadline)

    async def status_of(self, request: bytes) -> int:
        """The answer's status; 0 when none came."""
        try:
            return (await self.post(request)).status
        except (ConnectFailed, IncompleteAnswer):
            return 0

    def close(self) -> None:
        """Closes the idle connections."""
        self._client.close()
