"""Run LangGraph Studio's server with a graph for each published tenant, and keep its list of threads up to date."""

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.config import Settings
from app.db import Database, Role
from app.errors import RecadoError
from devkit.studio import threads
from devkit.studio.configuration import configuration
from devkit.studio.queries import ListedConversation
from devkit.studio.threads import Threads

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / ".langgraph_api" / "tenants.json"
STARTS_WITHIN = 60.0
"""Seconds. The server imports every model client."""
REFRESH = 5.0
"""Seconds between two looks for new conversations."""


def url(port: int) -> str:
    """Return the address of the server's API."""
    return f"http://127.0.0.1:{port}"


def page(port: int) -> str:
    """Return the address of Studio, which runs in the browser and asks our server."""
    return f"https://smith.langchain.com/studio/?baseUrl={url(port)}"


def serve(settings: Settings, port: int, say: Callable[[str], None]) -> None:
    """Run the server until it is interrupted. Raises RecadoError when it does not start."""
    with running(settings, port) as process:
        say(f"Studio         {page(port)}")
        say(f"LangGraph API  {url(port)}")
        say("Threads        each tenant's latest conversations; `recado studio open CONVERSATION` adds another")
        while process.poll() is None:
            show_latest(settings, port)
            time.sleep(REFRESH)
    raise RecadoError(f"Studio's server ended with code {process.returncode}")


@contextmanager
def running(settings: Settings, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the server, ready to be asked. Raises RecadoError when it does not start."""
    if importlib.util.find_spec("langgraph_api") is None:
        raise RecadoError("LangGraph Studio's server is not installed: run `uv sync --group studio`")
    # The server would choose another port.
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise RecadoError(f"port {port} is in use: choose another with --port")
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(json.dumps(asyncio.run(configuration(settings)), indent=2))
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(CONFIGURATION), "--no-browser"]
    command += ["--no-reload", "--host", "127.0.0.1", "--port", str(port), "--server-log-level", "WARNING"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, port)
        yield process
    finally:
        process.terminate()
        process.wait()


def show_latest(settings: Settings, port: int) -> None:
    """Put each tenant's latest conversations into the list."""
    Threads(url(port)).add(asyncio.run(_latest(settings)))


async def _latest(settings: Settings) -> list[ListedConversation]:
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        return await threads.latest(system)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url(port)}/ok", timeout=1).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise RecadoError("Studio's server did not start: its messages are above")
