"""A small HTTP/1.1 client with keep-alive connections.

A general client uses several times the CPU. A load test on the same machine would measure that CPU.
"""

import asyncio
import re
import time
from typing import NamedTuple, cast

# Common servers close idle connections after five seconds. A shorter time avoids a post on a connection that closes.
MAX_IDLE_SECONDS = 2.0
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\s*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked\s*\r\n")
_CLOSE = re.compile(rb"\r\nconnection:\s*close\s*\r\n")

Origin = tuple[str, int]


class ConnectFailed(Exception):
    """No connection was made in time, or the server refused it."""


class IncompleteAnswer(Exception):
    """The connection was made, but no complete answer arrived in time."""


class HttpAnswer(NamedTuple):
    """An answer. `reusable` says whether the connection may be used again."""

    status: int
    body: bytes
    reusable: bool


class _ChunkedBody(NamedTuple):
    body: bytes
    complete: bool


def _decode_chunked(raw: bytes) -> _ChunkedBody:
    body, at = b"", 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        size = int(raw[at:end].partition(b";")[0], 16)
        at = end + 2 + size + 2
        if len(raw) < at:
            break
        if size == 0:
            return _ChunkedBody(body, True)
        body += raw[end + 2 : end + 2 + size]
    return _ChunkedBody(body, False)


def parse(raw: bytes, closed: bool) -> HttpAnswer | None:
    """Return the answer, or None while it is not complete. Raises ValueError when it is not HTTP."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    status = int(raw[9:12])
    head, body = raw[: end + 2].lower(), raw[end + 4 :]
    if status < 200:
        return parse(body, closed)
    reusable = not _CLOSE.search(head)
    if status in (204, 304):
        return HttpAnswer(status, b"", reusable)
    if length := _LENGTH.search(head):
        size = int(length[1])
        return HttpAnswer(status, body[:size], reusable) if len(body) >= size else None
    if _CHUNKED.search(head):
        chunks = _decode_chunked(body)
        return HttpAnswer(status, chunks.body, reusable) if chunks.complete else None
    return HttpAnswer(status, body, False) if closed else None


class _ClientConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = b""
        self._read = self._deadline = 0.0
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def send(self, request: bytes, read: float, deadline: float) -> "asyncio.Future[HttpAnswer]":
        """Send a request. The future has the answer, or raises IncompleteAnswer."""
        if self._transport is None:
            raise IncompleteAnswer("the connection was closed")
        self._answer, self._received = self._loop.create_future(), b""
        self._read, self._deadline = read, deadline
        self._start_timer()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._try(closed=False)
        if self._timer is not None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._try(closed=True)
        self._fail("the connection was closed without a whole answer")

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = min(self._read, self._deadline - time.monotonic())
        self._timer = self._loop.call_later(max(seconds, 0), self._fail, "no answer in time")

    def _try(self, closed: bool) -> None:
        if self._answer is None or self._answer.done():
            return
        try:
            answer = parse(self._received, closed)
        except ValueError:
            self._fail("the answer is not HTTP")
            return
        if answer is not None:
            self._stop_timer()
            self._answer.set_result(answer)

    def _fail(self, reason: str) -> None:
        self._stop_timer()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(IncompleteAnswer(reason))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class KeepAliveClient:
    """Sends requests, and keeps a pool of idle connections for each origin."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[_ClientConnection]] = {}

    async def send(self, origin: Origin, request: bytes, connect: float, read: float, deadline: float) -> HttpAnswer:
        """Send a request, and return the answer. Raises ConnectFailed or IncompleteAnswer.

        `connect` and `read` are timeouts in seconds. `deadline` is a time of `time.monotonic()` that limits both.
        """
        connection = self._take(origin) or await self._connect(origin, min(connect, deadline - time.monotonic()))
        reusable = False
        try:
            answer = await connection.send(request, read, deadline)
            reusable = answer.reusable
        finally:
            if reusable and connection.usable:
                connection.idle_since = time.monotonic()
                self._idle.setdefault(origin, []).append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _take(self, origin: Origin) -> _ClientConnection | None:
        oldest = time.monotonic() - MAX_IDLE_SECONDS
        connections = self._idle.get(origin, [])
        while connections:
            connection = connections.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin, seconds: float) -> _ClientConnection:
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(_ClientConnection, *origin)
        except TimeoutError as error:
            raise ConnectFailed("no connection in time") from error
        except OSError as error:
            raise ConnectFailed(f"no connection: {error.strerror or error}") from error
        return connection
