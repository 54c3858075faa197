"""Everything between one worker and the world, as connections that can be held for a moment, or cut for good.

A worker in this process cannot be killed as a process can. But what the others see of a process that is killed is
that all its connections end at one instant: so that is what is done to it.
"""

import asyncio
from typing import cast

Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class _End(asyncio.Protocol):
    """One end of a cable: passes on to the other whatever comes in."""

    def __init__(self, cables: "Cables", other: "_End | None" = None) -> None:
        self._cables = cables
        self._waiting = b""
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._cables.add(self)
        if self._waiting:
            self.transport.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self._waiting += data
        else:
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cables.remove(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Cables:
    """All the connections of one worker."""

    def __init__(self) -> None:
        self._ends: set[_End] = set()
        self._servers: list[asyncio.Server] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._held = False
        self._is_cut = False

    async def lay(self, target: Target) -> int:
        """A port of this machine that leads to the target, until the cables are cut."""
        loop = asyncio.get_running_loop()

        def accept() -> _End:
            near, far = _End(self), _End(self)
            near.other, far.other = far, near
            task = loop.create_task(self._connect(near, far, target))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
            return near

        server = await loop.create_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _connect(self, near: _End, far: _End, target: Target) -> None:
        loop = asyncio.get_running_loop()
        try:
            if isinstance(target, str):
                await loop.create_unix_connection(lambda: far, target)
            else:
                await loop.create_connection(lambda: far, *target)
        except OSError:
            if near.transport is not None:
                near.transport.abort()

    def add(self, end: _End) -> None:
        """A connection was made."""
        self._ends.add(end)
        if end.transport is not None and self._is_cut:
            end.transport.abort()
        elif end.transport is not None and self._held:
            end.transport.pause_reading()

    def remove(self, end: _End) -> None:
        """A connection has ended."""
        self._ends.discard(end)

    def hold(self) -> None:
        """From now on nothing passes, until `release`."""
        self._held = True
        for end in self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.pause_reading()

    def release(self) -> None:
        """What waited passes."""
        self._held = False
        for end in self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.resume_reading()

    def cut(self) -> None:
        """Ends all connections at this instant, and takes no new ones."""
        self._is_cut = True
        for server in self._servers:
            server.close()
        for end in list(self._ends):
            if end.transport is not None:
                end.transport.abort()
