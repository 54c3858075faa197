"""A stub of Twilio's message API for load tests. It accepts every message and stores none.

It runs in the process of the bench and uses less CPU than the simulated Twilio, which keeps state.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from bench.webhook_client import Parameters, WebhookClient, signed_request
from devkit.stack import Number

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

CREATED_MESSAGE = (
    '{{"body": null, "num_segments": "1", "direction": "outbound-api", "from": null, "to": null,'
    ' "date_updated": "{date}", "price": null, "error_message": null, "uri": "/2010-04-01/Messages/{sid}.json",'
    ' "account_sid": "AC00000000000000000000000000000000", "num_media": "0", "status": "queued",'
    ' "messaging_service_sid": null, "sid": "{sid}", "date_sent": null, "date_created": "{date}",'
    ' "error_code": null, "price_unit": null, "api_version": "2010-04-01", "subresource_uris": {{}}}}'
)
CALLBACK_DELAY = 0.05
"""Seconds before each status callback."""


@dataclass(frozen=True, slots=True)
class PostedReply:
    """A reply that Recado posted. `posted_at` is the `time.perf_counter` at which its request was complete."""

    contact: str
    body: str
    posted_at: float


class _StubConnection(asyncio.Protocol):
    """Parses pipelined HTTP requests of one connection, and answers each."""

    def __init__(self, answer_to: Callable[[bytes], bytes]) -> None:
        self._answer_to = answer_to
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _CONTENT_LENGTH.search(self._received, 0, head_end)
            request_end = head_end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < request_end or self._transport is None:
                return
            body, self._received = self._received[head_end + 4 : request_end], self._received[request_end:]
            self._transport.write(self._answer_to(body))


class TwilioStub:
    """Answers 201 to every posted message, and calls `on_reply` with it."""

    def __init__(self, on_reply: Callable[[PostedReply], None]) -> None:
        self._on_reply = on_reply
        self._server: asyncio.Server | None = None
        self._callback_target: tuple[WebhookClient, Number] | None = None
        self._callbacks: set[asyncio.Task[None]] = set()
        self.url = ""

    def enable_status_callbacks(self, client: WebhookClient, number: Number) -> None:
        """Post the status callbacks `sent` and `delivered` for every message from now on."""
        self._callback_target = client, number

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1, and set `url`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _StubConnection(self._accept_message), "127.0.0.1", 0, backlog=1024
        )
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Cancel the callbacks that are not yet posted, and stop listening."""
        for callback in self._callbacks:
            callback.cancel()
        if self._server is not None:
            self._server.close()

    def _accept_message(self, body: bytes) -> bytes:
        posted_at = time.perf_counter()
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        sid = f"SM{uuid.uuid4().hex}"
        self._on_reply(PostedReply(form.get("To", ""), form.get("Body", ""), posted_at))
        if self._callback_target is not None and "StatusCallback" in form:
            callback = asyncio.create_task(_post_status_callbacks(*self._callback_target, form, sid))
            self._callbacks.add(callback)
            callback.add_done_callback(self._callbacks.discard)
        answer = CREATED_MESSAGE.format(sid=sid, date=formatdate(usegmt=True)).encode()
        return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            len(answer),
            answer,
        )


async def _post_status_callbacks(client: WebhookClient, number: Number, form: dict[str, str], sid: str) -> None:
    callback = urlsplit(form["StatusCallback"])
    for status in ("sent", "delivered"):
        await asyncio.sleep(CALLBACK_DELAY)
        parameters: Parameters = [
            ("SmsSid", sid),
            ("SmsStatus", status),
            ("MessageStatus", status),
            ("To", form["To"]),
            ("MessageSid", sid),
            ("AccountSid", number.account_sid),
            ("From", form["From"]),
            ("ApiVersion", "2010-04-01"),
        ]
        target = f"{callback.path}?{callback.query}"
        await client.post_for_status(signed_request(client.base_url, target, parameters, number.auth_token))
