"""Serve the simulated models until SIGINT or SIGTERM: `python -m devkit.simulators.llm`."""

import argparse
import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from devkit.simulators.llm.control_api import ModelControlApi
from devkit.simulators.llm.script import ScriptLibrary
from devkit.simulators.llm.script_loader import load_files
from devkit.simulators.llm.server import ModelSimulator, SimulatorOptions
from manifest.yaml_source import InvalidFiles

_BACKLOG = 4096
_SHUTDOWN_SECONDS = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m devkit.simulators.llm", description="A model server that follows scripts."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4020, help="port to bind, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--script", type=Path, action="append", default=[], help="a script file; may be given several times"
    )
    parser.add_argument(
        "--latency-ms", type=float, default=0.0, help="milliseconds that every answer takes (default: %(default)s)"
    )
    parser.add_argument("--key", default="", help="the only API key accepted (default: any)")
    parser.add_argument("--no-log", action="store_true", help="keep no log of the requests")
    return parser.parse_args()


async def _serve(host: str, port: int, simulator: ModelSimulator) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    application = simulator.application()
    ModelControlApi(simulator).add_to(application)
    # With cancellation, a request ends when its client disconnects, and does not go on sleeping.
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=600,
    )
    await runner.setup()
    listener = socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    try:
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        names = ", ".join(simulator.library.names) or "none"
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        sys.stdout.write(f"model simulator ready on {address} (scripts: {names})\n")
        sys.stdout.flush()
        # The loaded modules and scripts stay. The garbage collector need not visit them under load.
        gc.freeze()
        await stop.wait()
    finally:
        await runner.cleanup()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Parse the command line, serve, and return the exit code."""
    arguments = _arguments()
    try:
        library = ScriptLibrary(load_files(arguments.script))
    except InvalidFiles as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _allow_many_connections()
    options = SimulatorOptions(latency_ms=arguments.latency_ms, key=arguments.key, log=not arguments.no_log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(arguments.host, arguments.port, ModelSimulator(library, options)))
        except OSError as error:
            sys.stderr.write(f"cannot serve on {arguments.host}:{arguments.port}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
