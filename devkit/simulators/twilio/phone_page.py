"""Serve the phone page, on which a developer chats as a contact."""

import asyncio
from pathlib import Path

from aiohttp import web

from devkit.simulators.twilio.store import MessageStore, TwilioMessage, dump_json

FOLDER = Path(__file__).parent.parent / "phone"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
}
HISTORY = 300
"""The number of messages in a snapshot."""
HEARTBEAT_SECONDS = 15.0


class PhonePage:
    """The page's files, and a stream of events that keeps it up to date."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._files = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/phone", self.page),
            web.get("/phone/", self.page),
            web.get("/phone/events", self.events),
            web.get("/phone/{name}", self.file),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Send the page."""
        return _file(self._files["index.html"])

    async def file(self, request: web.Request) -> web.Response:
        """Send a script, a style sheet or the icon."""
        path = self._files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return _file(path)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send server-sent events: a snapshot first, then every new or changed message."""
        number, contact = request.query.get("number", ""), request.query.get("contact", "")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        queue = self._store.watch(contact)
        try:
            await response.write(self._snapshot(number, contact))
            while True:
                await response.write(await self._next(queue, number, contact))
        except ConnectionError:
            return response
        finally:
            self._store.unwatch(contact, queue)

    def _snapshot(self, number: str, contact: str) -> bytes:
        mine = [message for message in self._store.since(0, contact) if message.number == number] if contact else []
        return _event("snapshot", [message.as_json() for message in mine[-HISTORY:]])

    async def _next(self, queue: "asyncio.Queue[TwilioMessage | None]", number: str, contact: str) -> bytes:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                message = await queue.get()
        except TimeoutError:
            return b": alive\n\n"
        if message is None:
            return self._snapshot(number, contact)
        return _event("message", message.as_json()) if message.number == number else b""


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + dump_json(data) + b"\n\n"


def _file(path: Path) -> web.Response:
    return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8", headers=HEADERS)
