"""Run LangGraph Studio's server with a graph for each published tenant, and keep its list of threads up to date."""

import asyncio
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import platformdirs

from app import db
from app.config import Settings
from app.db import Database, DatabaseUnavailable
from app.errors import RecadoError
from app.supervisor import Child
from devkit.studio import threads
from devkit.studio.configuration import configuration
from devkit.studio.queries import ListedConversation
from devkit.studio.threads import Threads

START_TIMEOUT = 60.0
"""Seconds that the server may take to start. It imports every model client."""
REFRESH = 5.0
"""Seconds between two updates of the list of threads."""


def default_folder() -> Path:
    """Return the folder of Studio's list of threads in the user's home."""
    return Path(platformdirs.user_data_dir("recado", appauthor=False)) / "studio"


def url(port: int) -> str:
    """Return the address of the server's API."""
    return f"http://127.0.0.1:{port}"


def page(port: int, thread: UUID | str = "") -> str:
    """Return the address of Studio, or of one of its threads. The page runs in the browser and asks our server."""
    path = f"thread/{thread}" if thread else ""
    return f"https://smith.langchain.com/studio/{path}?baseUrl={url(port)}"


def serve(settings: Settings, folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Run the server until SIGINT or SIGTERM. Raises RecadoError when it does not start, or ends."""
    ended = threading.Event()
    with running(settings, folder, port) as server, Threads(url(port)) as listed:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        listed.remove(asyncio.run(_unknown(settings, listed.ids())))
        listed.show(asyncio.run(_latest(settings)))
        say(f"""
  Studio    {page(port)}
  API       {url(port)}
  Threads   each tenant's latest conversations; `recado studio open CONVERSATION` adds another
  Logs      {server.log}

Ctrl-C ends it.""")
        while not ended.wait(REFRESH):
            if not server.alive:
                raise RecadoError(f"Studio's server has ended: see {server.log}")
            try:
                listed.show(asyncio.run(_latest(settings)))
            except DatabaseUnavailable as error:
                say(f"the list of threads is not updated, because the database is unavailable: {error}")


@contextmanager
def running(settings: Settings, folder: Path, port: int) -> Iterator[Child]:
    """Run the server during the block. It ends with this process. Raises RecadoError when it does not start."""
    if importlib.util.find_spec("langgraph_api") is None:
        raise RecadoError("LangGraph Studio's server is not installed: run `uv sync --group studio`")
    # The server would choose another port without an error.
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise RecadoError(f"port {port} is in use: choose another with --port")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "langgraph.json"
    config.write_text(json.dumps(asyncio.run(configuration(settings)), indent=2))
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(config), "--no-browser"]
    command += ["--no-reload", "--host", "127.0.0.1", "--port", str(port), "--server-log-level", "WARNING"]
    # The server keeps its threads in its working directory.
    server = Child("Studio's server", command, os.environ, folder / "server.log", cwd=folder)
    try:
        server.start()
        _wait_until_ready(server, port)
        yield server
    finally:
        server.stop()


async def _unknown(settings: Settings, ids: list[str]) -> list[str]:
    # The folder may have served another database.
    async with _system(settings) as system:
        return await threads.unknown(system, ids)


async def _latest(settings: Settings) -> list[ListedConversation]:
    async with _system(settings) as system:
        return await threads.latest(system)


def _system(settings: Settings) -> Database:
    return db.system_database(settings)


def _wait_until_ready(server: Child, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.alive:
        try:
            httpx.get(f"{url(port)}/ok", timeout=1).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise server.failed_start()
