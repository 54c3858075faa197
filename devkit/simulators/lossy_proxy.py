"""Lose the answer of Postgres to one statement, by a proxy that breaks the connection at that moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READY = b"Z\x00\x00\x00\x05I"
"""The message ReadyForQuery: Postgres has run all statements, and no transaction is open."""


class LossyProxy:
    """Forwards connections to a database."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._wanted: Callable[[bytes], bool] | None = None
        self._port = 0
        self.lost = 0

    @property
    def url(self) -> str:
        """The URL of the database through the proxy."""
        return self.through(self._parts.geturl())

    def through(self, url: str) -> str:
        """Return another URL of the same server, through the proxy."""
        parts = urlsplit(url)
        credentials, _, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}@127.0.0.1:{self._port}").geturl()

    def lose_answer_to(self, text: str) -> None:
        """Let Postgres run the next statement whose parameters contain the text, then break its connection."""
        self._wanted = lambda data: text.encode() in data

    def lose_answer_after(self, size: int) -> None:
        """Let Postgres run the next statement that takes so many bytes, then break its connection."""
        self._wanted = lambda data: len(data) >= size

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        try:
            server_reader, server_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            writer.close()
            return
        losing = asyncio.Event()

        async def forward_requests() -> None:
            while data := await reader.read(65_536):
                if self._wanted is not None and self._wanted(data):
                    self._wanted = None
                    losing.set()
                server_writer.write(data)
            server_writer.close()

        async def forward_answers() -> None:
            while data := await server_reader.read(65_536):
                if not losing.is_set():
                    writer.write(data)
                elif data.endswith(READY):
                    self.lost += 1
                    break
            writer.close()

        # At the end of the loop the connections that are still open are cancelled.
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(forward_requests(), forward_answers())
        server_writer.close()
        writer.close()

    async def listen(self) -> asyncio.Server:
        """Start to serve. Close the returned server at the end."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        return server


@asynccontextmanager
async def lossy(database_url: str) -> AsyncIterator[LossyProxy]:
    """Serve a proxy in front of a database."""
    proxy = LossyProxy(database_url)
    server = await proxy.listen()
    try:
        yield proxy
    finally:
        server.close()
