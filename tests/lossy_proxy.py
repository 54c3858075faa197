"""Lose the answer of Postgres to one statement, by a proxy that breaks the connection at that moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READY = b"Z\x00\x00\x00\x05I"
"""The message ReadyForQuery: Postgres has run all statements, and no transaction is open."""


class LossyProxy:
    """Forwards connections. `url` is the database's URL through the proxy."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._needle: bytes | None = None
        self.url = ""
        self.lost = 0

    def lose_answer_to(self, text: str) -> None:
        """Let Postgres run the next statement whose parameters contain the text, then break its connection."""
        self._needle = text.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        server_reader, server_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        losing = asyncio.Event()

        async def forward_requests() -> None:
            while data := await reader.read(65_536):
                if self._needle is not None and self._needle in data:
                    self._needle = None
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

        with suppress(ConnectionError):
            await asyncio.gather(forward_requests(), forward_answers())
        server_writer.close()
        writer.close()


@asynccontextmanager
async def lossy(database_url: str) -> AsyncIterator[LossyProxy]:
    """Serve a proxy in front of a database."""
    proxy = LossyProxy(database_url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(database_url)
    credentials, _, _ = parts.netloc.rpartition("@")
    proxy.url = parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
    try:
        yield proxy
    finally:
        server.close()
