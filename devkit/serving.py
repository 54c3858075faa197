"""Serve applications in this process: simulators by aiohttp, Recado's API by uvicorn."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from aiohttp import web

KEEP_ALIVE = 1_000_000_000
"""Seconds that idle connections stay open. With a shorter time, a jump of the virtual clock would close them."""


def listen() -> socket.socket:
    """Return a socket that listens on a free port of 127.0.0.1."""
    # With the protocol given, asyncio sets TCP_NODELAY. Otherwise small writes wait for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


class AiohttpServer:
    """An aiohttp application on a free port of 127.0.0.1."""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self._runner = runner
        self.port = port

    @classmethod
    async def start(cls, application: web.Application) -> "AiohttpServer":
        """Start to listen."""
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1, keepalive_timeout=KEEP_ALIVE
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return cls(runner, int(runner.addresses[0][1]))

    async def stop(self) -> None:
        """Stop, and cancel the requests that run."""
        await self._runner.cleanup()


class _UvicornServer(uvicorn.Server):
    """Stops at once. Uvicorn's own pauses take 0.15 seconds, and tests stop a server each."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._exiting = asyncio.Event()

    def exit(self) -> None:
        """Let `serve` return."""
        self.should_exit = True
        self._exiting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield

    async def main_loop(self) -> None:
        """Update what all answers share, until the server is to exit."""
        counter = 0
        while not self.should_exit:
            await self.on_tick(counter)
            counter = (counter + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exiting.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that run, close all connections, and end the application."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # In this time idle connections are gone.
        await asyncio.sleep(0.005)
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


class AsgiServer:
    """An ASGI application on a socket that already listens."""

    def __init__(self, application: Any, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            log_level="critical",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._server = _UvicornServer(config)
        self._listener = listener
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the application answers. Raises RuntimeError when it does not start."""
        self._serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._serving.done():
                raise RuntimeError("the API did not start")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer the requests that run, and stop."""
        self._server.exit()
        if self._serving is not None:
            await self._serving
