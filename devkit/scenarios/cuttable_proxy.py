"""Forward a worker's connections to Postgres, Twilio and the model, so that a test can pause or cut them.

A worker of a scenario runs in this process, so it cannot be killed as a process can. Other processes see a killed
process only by its connections, which all end at the same instant. The proxy ends them in the same way.
"""

import asyncio
from typing import cast

Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class _ProxyConnection(asyncio.Protocol):
    """One side of a forwarded connection. It sends what it receives to the other side."""

    def __init__(self, proxy: "CuttableProxy", other: "_ProxyConnection | None" = None) -> None:
        self._proxy = proxy
        self._waiting = b""
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.add(self)
        if self._waiting:
            self.transport.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send data. Before the connection is made, the data is kept."""
        if self.transport is None:
            self._waiting += data
        else:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.remove(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class CuttableProxy:
    """The proxy of one worker. It forwards to any number of targets."""

    def __init__(self) -> None:
        self._connections: set[_ProxyConnection] = set()
        self._servers: list[asyncio.Server] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_paused = False
        self._is_cut = False

    async def forward_to(self, target: Target) -> int:
        """Return a port of 127.0.0.1 whose connections are forwarded to the target until `cut`."""
        loop = asyncio.get_running_loop()

        def accept() -> _ProxyConnection:
            near, far = _ProxyConnection(self), _ProxyConnection(self)
            near.other, far.other = far, near
            task = loop.create_task(self._connect(near, far, target))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
            return near

        server = await loop.create_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _connect(self, near: _ProxyConnection, far: _ProxyConnection, target: Target) -> None:
        loop = asyncio.get_running_loop()
        try:
            if isinstance(target, str):
                await loop.create_unix_connection(lambda: far, target)
            else:
                await loop.create_connection(lambda: far, *target)
        except OSError:
            if near.transport is not None:
                near.transport.abort()

    def add(self, connection: _ProxyConnection) -> None:
        """Add a new connection. It is paused or ended at once if the proxy is."""
        self._connections.add(connection)
        if connection.transport is not None and self._is_cut:
            connection.transport.abort()
        elif connection.transport is not None and self._is_paused:
            connection.transport.pause_reading()

    def remove(self, connection: _ProxyConnection) -> None:
        """Remove a connection that has ended."""
        self._connections.discard(connection)

    def pause(self) -> None:
        """Forward nothing until `resume`."""
        self._is_paused = True
        for connection in self._connections:
            if connection.transport is not None and not connection.transport.is_closing():
                connection.transport.pause_reading()

    def resume(self) -> None:
        """Forward what has waited, and what comes."""
        self._is_paused = False
        for connection in self._connections:
            if connection.transport is not None and not connection.transport.is_closing():
                connection.transport.resume_reading()

    def cut(self) -> None:
        """End all connections at this instant, and accept no new ones."""
        self._is_cut = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()
