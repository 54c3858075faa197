"""Serve a Twilio with the answers that a test gives, for answers that the simulator never sends."""

import asyncio
import json
from base64 import b64decode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web


@dataclass(frozen=True)
class ScriptedAnswer:
    """An HTTP answer. Status 0 closes the connection without an answer. `hang` waits for the end of the test first."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


HANG = ScriptedAnswer(0, hang=True)
DROP = ScriptedAnswer(0)


def refused(status: int, code: int, **headers: str) -> ScriptedAnswer:
    """Return Twilio's error with a code. A `_` in the name of a header is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ScriptedAnswer(status, {"code": code, "message": "no", "more_info": "", "status": status}, named)


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it was received."""

    method: str
    path: str
    query: dict[str, str]
    form: list[tuple[str, str]]
    login: tuple[str, str]


@dataclass
class ScriptedTwilio:
    """Answers posts from `answers`, or by creating a message. `listing` answers all look-ups."""

    address: str
    answers: deque[ScriptedAnswer] = field(default_factory=deque)
    listing: ScriptedAnswer = ScriptedAnswer(200, {"messages": [], "page_size": 200})
    requests: list[ReceivedRequest] = field(default_factory=list)
    answer_after_lookups: int = 0
    """The number of look-ups that must have arrived before one is answered."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _lookups_arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def posted(self) -> list[str]:
        """The bodies that were posted."""
        return [dict(request.form)["Body"] for request in self.requests if request.method == "POST"]

    @property
    def looked_up(self) -> int:
        """The number of look-ups."""
        return sum(request.method == "GET" for request in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record a request, and send the next answer."""
        form = parse_qsl(await request.text(), keep_blank_values=True)
        login = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode().split(":")
        self.requests.append(
            ReceivedRequest(request.method, request.path, dict(request.query), form, (login[0], login[1]))
        )
        if request.method == "POST":
            answer = self.answers.popleft() if self.answers else self._created()
        else:
            answer = self.listing
            if self.looked_up >= self.answer_after_lookups:
                self._lookups_arrived.set()
            await self._lookups_arrived.wait()
        if answer.hang:
            await self.stopped.wait()
        if answer.status == 0:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        return web.Response(
            status=answer.status, body=body, headers={"Content-Type": "application/json", **answer.headers}
        )

    def _created(self) -> ScriptedAnswer:
        return ScriptedAnswer(201, {"sid": f"SM{len(self.requests):032x}", "status": "queued"})


@asynccontextmanager
async def scripted_twilio() -> AsyncIterator[ScriptedTwilio]:
    """Serve a scripted Twilio on a free port during the block."""
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    twilio = ScriptedTwilio("")
    app.router.add_route("*", "/{path:.*}", twilio.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    twilio.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield twilio
    finally:
        twilio.stopped.set()
        await runner.cleanup()
