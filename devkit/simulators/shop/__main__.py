"""python -m devkit.simulators.shop: keep the shop open until told to stop."""

import argparse
import asyncio
import signal
import sys

from aiohttp import web

from devkit.simulators.shop.server import Server

GRACE_SECONDS = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m devkit.simulators.shop", description="A small online shop's API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4030, help="port to bind, 0 for a free one (default: %(default)s)")
    parser.add_argument("--token", required=True, help="the bearer token that requests must show")
    return parser.parse_args()


async def _serve(host: str, port: int, server: Server) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"shop simulator ready on http://{host}:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    arguments = _arguments()
    try:
        asyncio.run(_serve(arguments.host, arguments.port, Server(arguments.token)))
    except OSError as error:
        sys.stderr.write(f"cannot serve on {arguments.host}:{arguments.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
