"""A Twilio for load, in the driver's process: takes every message at once, and costs less than the stateful one."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from bench.traffic import Parameters, Poster, signed
from devkit.stack import Number

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

CREATED = (
    '{{"body": null, "num_segments": "1", "direction": "outbound-api", "from": null, "to": null,'
    ' "date_updated": "{date}", "price": null, "error_message": null, "uri": "/2010-04-01/Messages/{sid}.json",'
    ' "account_sid": "AC00000000000000000000000000000000", "num_media": "0", "status": "queued",'
    ' "messaging_service_sid": null, "sid": "{sid}", "date_sent": null, "date_created": "{date}",'
    ' "error_code": null, "price_unit": null, "api_version": "2010-04-01", "subresource_uris": {{}}}}'
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that Recado posted, and when (`time.perf_counter`) its request was complete."""

    contact: str
    body: str
    at: float


class _Connection(asyncio.Protocol):
    def __init__(self, accept: Callable[[bytes], bytes]) -> None:
        self._accept = accept
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole or self._transport is None:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._transport.write(self._accept(body))


class Receiver:
    """Answers 201 to every post of a message, and tells `heard`."""

    def __init__(self, heard: Callable[[Sent], None]) -> None:
        self._heard = heard
        self._server: asyncio.Server | None = None
        self._caller: tuple[Poster, Number] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self.url = ""

    def call_back(self, poster: Poster, number: Number) -> None:
        """From now on every message's status callbacks are posted: sent, delivered."""
        self._caller = poster, number

    async def start(self) -> None:
        """Listens on a free port of the loopback."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._accept), "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stops listening."""
        for call in self._calls:
            call.cancel()
        if self._server is not None:
            self._server.close()

    def _accept(self, body: bytes) -> bytes:
        at = time.perf_counter()
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        sid = f"SM{uuid.uuid4().hex}"
        self._heard(Sent(form.get("To", ""), form.get("Body", ""), at))
        if self._caller is not None and "StatusCallback" in form:
            call = asyncio.create_task(_call_back(*self._caller, form, sid))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        answer = CREATED.format(sid=sid, date=formatdate(usegmt=True)).encode()
        return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            len(answer),
            answer,
        )


async def _call_back(poster: Poster, number: Number, form: dict[str, str], sid: str) -> None:
    callback = urlsplit(form["StatusCallback"])
    for status in ("sent", "delivered"):
        await asyncio.sleep(0.05)
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
        await poster.status_of(signed(poster.base_url, target, parameters, number.auth_token))
