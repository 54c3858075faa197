"""Serve the simulated shop until SIGINT or SIGTERM: `python -m devkit.simulators.shop`."""

import argparse
import asyncio
import signal
import sys

from aiohttp import web

from devkit.simulators.shop.server import create_application

SHUTDOWN_SECONDS = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m devkit.simulators.shop", description="A small online shop's API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4030, help="port to bind, 0 for a free one (default: %(default)s)")
    parser.add_argument("--token", required=True, help="the bearer token that requests must show")
    return parser.parse_args()


async def _serve(host: str, port: int, application: web.Application) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"shop simulator ready on http://{host}:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Serve, and return the exit code."""
    arguments = _arguments()
    try:
        asyncio.run(_serve(arguments.host, arguments.port, create_application(arguments.token)))
    except OSError as error:
        sys.stderr.write(f"cannot serve on {arguments.host}:{arguments.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
