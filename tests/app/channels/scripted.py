"""A Twilio that answers exactly what a test says: for answers that the simulator never gives."""

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
class Answer:
    """An HTTP answer; a status of 0 closes the connection without one, and `hang` waits before that."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


HANG = Answer(0, hang=True)
DROP = Answer(0)


def refused(status: int, code: int, **headers: str) -> Answer:
    """Twilio's JSON for an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"code": code, "message": "no", "more_info": "", "status": status}, named)


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    form: list[tuple[str, str]]
    login: tuple[str, str]


@dataclass
class ScriptedTwilio:
    """Creates messages with ever new SIDs unless `answers` has something else to say; the list stays as it is set."""

    address: str
    answers: deque[Answer] = field(default_factory=deque)
    listing: Answer = Answer(200, {"messages": [], "page_size": 200})
    asked: list[Asked] = field(default_factory=list)
    listed_together: int = 0
    """So many requests for the list are awaited before any is answered."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _together: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def posted(self) -> list[str]:
        """The bodies that were posted."""
        return [dict(request.form)["Body"] for request in self.asked if request.method == "POST"]

    @property
    def looked_up(self) -> int:
        """How often the list was asked for."""
        return sum(request.method == "GET" for request in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers with the next line of the script."""
        form = parse_qsl(await request.text(), keep_blank_values=True)
        login = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode().split(":")
        self.asked.append(Asked(request.method, request.path, dict(request.query), form, (login[0], login[1])))
        if request.method == "POST":
            answer = self.answers.popleft() if self.answers else self._created()
        else:
            answer = self.listing
            if self.looked_up >= self.listed_together:
                self._together.set()
            await self._together.wait()
        if answer.hang:
            await self.over.wait()
        if answer.status == 0:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        return web.Response(
            status=answer.status, body=body, headers={"Content-Type": "application/json", **answer.headers}
        )

    def _created(self) -> Answer:
        return Answer(201, {"sid": f"SM{len(self.asked):032x}", "status": "queued"})


@asynccontextmanager
async def scripted_twilio() -> AsyncIterator[ScriptedTwilio]:
    """Serves one on a free port."""
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
        twilio.over.set()
        await runner.cleanup()
