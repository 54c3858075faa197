"""API processes that share a listening socket: one is killed or ended, and no connection is refused."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from app.crypto import new_secret_key
from app.errors import ConfigurationError
from app.listening import inherited, listen
from app.supervisor import Child
from devkit.database_urls import DatabaseUrls

CLIENTS = 8
REFUSED, BROKEN = "refused", "broken"


@contextmanager
def api(urls: DatabaseUrls, logs: Path) -> Iterator[Child]:
    environment = {
        "PATH": os.environ["PATH"],
        **urls.processes,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "RECADO_PUBLIC_URL": "https://bot.example.com",
        "RECADO_SECRET_KEY": new_secret_key(),
    }
    command = [sys.executable, "-m", "cli", "api", "--port", "0", "--processes", "2"]
    child = Child("api", command, environment, logs / "api.log")
    child.start()
    try:
        yield child
        assert child.stop() == 0, child.output()
    finally:
        child.stop()


async def serving(child: Child, *, besides: int | None = None) -> tuple[int, list[int]]:
    """Wait until two processes accept connections, other than `besides`; return the port, and their ids."""
    async with asyncio.timeout(90):
        while True:
            await asyncio.sleep(0.05)
            lines = [line for line in child.output().splitlines() if "ready on" in line]
            pids = [process.pid for process in psutil.Process(child.pid).children() if is_api(process)]
            if len(lines) >= (2 if besides is None else 3) and len(pids) == 2 and besides not in pids:
                return int(lines[0].rpartition(":")[2]), pids


def is_api(process: psutil.Process) -> bool:
    try:
        return "cli" in process.cmdline()
    except psutil.Error:
        return False


async def request(port: int) -> str:
    """Make one request on a connection of its own; return its status, or how it failed."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return REFUSED
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        return head.split()[1].decode()
    except (OSError, EOFError):
        return BROKEN
    finally:
        writer.close()


@asynccontextmanager
async def steady_requests(port: int) -> AsyncIterator[Counter[str]]:
    outcomes: Counter[str] = Counter()
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            outcomes[await request(port)] += 1
            await asyncio.sleep(0.005)

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    try:
        yield outcomes
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def test_an_ended_process_breaks_no_connection(urls: DatabaseUrls, tmp_path: Path) -> None:
    with api(urls, tmp_path) as child:
        port, pids = await serving(child)
        async with steady_requests(port) as outcomes:
            os.kill(pids[0], signal.SIGTERM)
            await serving(child, besides=pids[0])
        assert set(outcomes) == {"200"}


async def test_a_killed_process_loses_what_it_had_accepted(urls: DatabaseUrls, tmp_path: Path) -> None:
    with api(urls, tmp_path) as child:
        port, pids = await serving(child)
        async with steady_requests(port) as outcomes:
            os.kill(pids[0], signal.SIGKILL)
            await serving(child, besides=pids[0])
        assert outcomes[REFUSED] == 0
        assert outcomes[BROKEN] <= CLIENTS
        assert outcomes["200"] > CLIENTS


async def test_connections_wait_while_no_process_lives(urls: DatabaseUrls, tmp_path: Path) -> None:
    with api(urls, tmp_path) as child:
        port, pids = await serving(child)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*(request(port) for _ in range(CLIENTS))) == ["200"] * CLIENTS


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"cannot listen on 127.0.0.1 port {port}: Address already in use"
        ):
            listen("127.0.0.1", port)


def test_only_a_listening_socket_is_inherited() -> None:
    with listen("127.0.0.1", 0) as listener:
        descriptor = os.dup(listener.fileno())
        with inherited(descriptor) as same:
            assert same.getsockname() == listener.getsockname()
    with socket.socket() as silent, pytest.raises(ConfigurationError, match="does not listen"):
        inherited(silent.fileno())
    with pytest.raises(ConfigurationError, match="not a socket"):
        inherited(987)
