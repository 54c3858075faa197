"""Serve the simulated school until SIGINT or SIGTERM: `python -m devkit.simulators.school`."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from devkit.simulators.school.server import create_application

SHUTDOWN_SECONDS = 1


class _AnnouncingServer(uvicorn.Server):
    """Prints a line when it is ready, and ends with exit code 0 on SIGINT and SIGTERM."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"school simulator ready on http://{host}:{port} (MCP: /mcp)", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m devkit.simulators.school", description="A school's MCP server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4040, help="port to bind, 0 for a free one (default: %(default)s)")
    parser.add_argument("--token", required=True, help="the bearer token that requests must show")
    return parser.parse_args()


def main() -> int:
    """Serve, and return the exit code."""
    arguments = _arguments()
    config = uvicorn.Config(
        create_application(arguments.token),
        log_level="warning",
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    try:
        listener = socket.create_server((arguments.host, arguments.port))
    except OSError as error:
        sys.stderr.write(f"cannot serve on {arguments.host}:{arguments.port}: {error}\n")
        return 1
    with listener:
        asyncio.run(_AnnouncingServer(config).serve([listener]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
