"""Interrupt and restore the connections to a server, without stopping the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from app.config import Settings


class InterruptibleProxy:
    """A TCP proxy whose connections a test can interrupt and restore."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._is_open = True
        self._writers: set[asyncio.StreamWriter] = set()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection in both directions until either side ends it."""
        if not self._is_open:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    def interrupt(self) -> None:
        """End all connections, and refuse new ones until `restore`."""
        self._is_open = False
        for writer in list(self._writers):
            writer.transport.abort()

    def restore(self) -> None:
        """Accept connections again."""
        self._is_open = True


@asynccontextmanager
async def interruptible(url: str) -> AsyncIterator[tuple[InterruptibleProxy, str]]:
    """Run a proxy in front of a server. Yield the proxy, and the server's URL through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = InterruptibleProxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
    finally:
        proxy.interrupt()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def interruptible_postgres(settings: Settings) -> AsyncIterator[tuple[InterruptibleProxy, dict[str, str]]]:
    """Run a proxy in front of Postgres. Yield it, and the settings of a process that connects through it."""
    async with interruptible(settings.database_url) as (proxy, url):
        system = urlsplit(settings.system_database_url)
        near = f"{system.netloc.rpartition('@')[0]}@{urlsplit(url).netloc.rpartition('@')[2]}"
        yield proxy, {"database_url": url, "system_database_url": system._replace(netloc=near).geturl()}
