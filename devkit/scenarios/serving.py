"""Servers in this process: the simulators over aiohttp, the API over uvicorn."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from aiohttp import web

FOR_EVER = 1_000_000_000
"""Seconds that idle connections are kept: on virtual time, they would end in the middle of a leap."""


def listener() -> socket.socket:
    """A socket that listens on a free port of 127.0.0.1."""
    # Named as TCP: asyncio lets only such sockets send at once what else waits, in real time, for an acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


class Served:
    """An aiohttp application on a free port of 127.0.0.1."""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self._runner = runner
        self.port = port

    @classmethod
    async def start(cls, application: web.Application) -> "Served":
        """Listens."""
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1, keepalive_timeout=FOR_EVER
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return cls(runner, int(runner.addresses[0][1]))

    async def stop(self) -> None:
        """Ends, whatever is under way."""
        await self._runner.cleanup()


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the command."""
        yield


class ServedApi:
    """An ASGI application on a socket that already listens."""

    def __init__(self, application: Any, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            log_level="critical",
            ws="none",
            timeout_keep_alive=FOR_EVER,
        )
        self._server = _Uvicorn(config)
        self._listener = listener
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it answers. Raises RuntimeError when it does not start."""
        self._serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._serving.done():
                raise RuntimeError("the API did not start")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answers what it has taken, and ends."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
