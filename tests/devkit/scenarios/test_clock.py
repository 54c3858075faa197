"""Virtual time: as fast as the work in hand, and no faster."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from devkit.scenarios.clock import VirtualLoop

STARTS = datetime(2026, 1, 5, 13, 0, tzinfo=UTC)


def on_virtual_time[T](work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own, in a thread of its own: the tests' loop runs in this one."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(STARTS)) as runner:
        return runner.run(work)


async def test_a_day_passes_without_waiting() -> None:
    async def a_day() -> datetime:
        await asyncio.sleep(86_400)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.clock()

    assert await asyncio.to_thread(on_virtual_time, a_day()) >= STARTS + timedelta(days=1)


async def test_what_is_due_first_happens_first() -> None:
    async def note(seen: list[float], seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(seconds)

    async def race() -> list[float]:
        seen: list[float] = []
        await asyncio.gather(*(note(seen, seconds) for seconds in (3600, 0.5, 60, 7200, 1)))
        return seen

    assert await asyncio.to_thread(on_virtual_time, race()) == [0.5, 1, 60, 3600, 7200]


async def test_time_stands_still_while_postgres_thinks(database_url: str) -> None:
    async def query() -> float:
        async with asyncio.timeout(0.01), await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("select pg_sleep(0.1)")
        return asyncio.get_running_loop().time()

    assert await asyncio.to_thread(on_virtual_time, query()) < 0.01


async def test_time_stands_still_while_a_thread_works() -> None:
    async def work() -> float:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(time.sleep, 0.05)
        return asyncio.get_running_loop().time()

    assert await asyncio.to_thread(on_virtual_time, work()) < 0.01


async def test_virtual_time_stands_still_while_sockets_are_busy() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def talk() -> float:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        asyncio.get_running_loop().call_later(0.001, lambda: None)
        for _ in range(200):
            writer.write(b"x\n")
            assert await reader.readline() == b"x\n"
        passed = asyncio.get_running_loop().time()
        writer.close()
        await writer.wait_closed()
        server.close()
        return passed

    assert await asyncio.to_thread(on_virtual_time, talk()) == 0.0
