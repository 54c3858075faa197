"""Look-ups of host names: one tenant's dead name server delays no other tenant, and nothing but tools."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.shared_threads import SharedThreads
from tests.tools.fake_ports import LOOPBACK, RecordingServer
from tests.tools.name_servers import NameServers, asked
from tools.net.guarded_http import GuardedHttpClient
from tools.net.resolver import FRESH, HostResolver, lookups_for
from tools.ports import Unreachable


@asynccontextmanager
async def resolving(
    threads: int = 8, per_tenant: int = 2, **more: Any
) -> AsyncIterator[tuple[NameServers, HostResolver]]:
    """Yield name servers and a resolver that asks them."""
    names = NameServers()
    resolver = HostResolver(threads=threads, per_tenant=per_tenant, lookup=names.look_up, **more)
    yield names, resolver
    names.recovered.set()
    await resolver.close()


async def addresses(resolver: HostResolver, tenant: str, host: str) -> list[str]:
    """Look a host up for a tenant."""
    with lookups_for(tenant):
        return [found["host"] for found in await resolver.resolve(host, 443)]


def begin(resolver: HostResolver, tenant: str, *hosts: str) -> list[asyncio.Task[list[str]]]:
    """Start look-ups for a tenant."""
    return [asyncio.create_task(addresses(resolver, tenant, host)) for host in hosts]


async def test_a_dead_name_server_delays_only_its_tenant() -> None:
    async with resolving() as (names, resolver):
        waiting = begin(resolver, "a", *(f"{number}.dead" for number in range(20)))
        await asked(names, 2)
        assert await addresses(resolver, "b", "shop.example") == ["127.0.0.1"]
        assert names.asked == ["0.dead", "1.dead", "shop.example"]
        names.recovered.set()
        assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 20


async def test_an_abandoned_look_up_still_counts() -> None:
    """Its thread is still taken: the system's look-up cannot be cancelled."""
    async with resolving() as (names, resolver):
        for number in range(6):
            (waiting,) = begin(resolver, "a", f"{number}.dead")
            await asked(names, min(number + 1, 2))
            waiting.cancel()
            await asyncio.wait([waiting])
        assert names.asked == ["0.dead", "1.dead"]
        (waiting,) = begin(resolver, "a", "shop.example")
        names.recovered.set()
        assert await waiting == ["127.0.0.1"]


async def test_the_threads_of_all_tenants_are_bounded() -> None:
    async with resolving(threads=3, per_tenant=2) as (names, resolver):
        waiting = [*begin(resolver, "a", "1.dead", "2.dead"), *begin(resolver, "b", "3.dead", "4.dead")]
        await asked(names, 3)
        waiting += begin(resolver, "c", "shop.example")
        for _ in range(20):
            await asyncio.sleep(0)
        assert names.asked == ["1.dead", "2.dead", "3.dead"]
        names.recovered.set()
        assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 5


async def test_a_host_is_looked_up_once_for_all_who_ask() -> None:
    async with resolving() as (names, resolver):
        waiting = [*begin(resolver, "a", *["1.dead"] * 9), *begin(resolver, "b", *["1.dead"] * 9)]
        await asked(names, 1)
        names.recovered.set()
        await asyncio.gather(*waiting)
        assert await addresses(resolver, "c", "1.dead") == ["127.0.0.1"]
        assert names.asked == ["1.dead"]


async def test_a_tenant_does_not_wait_for_anothers_threads() -> None:
    """What the first tenant has no thread for, the second looks up itself, for both."""
    async with resolving() as (names, resolver):
        waiting = begin(resolver, "a", "1.dead", "2.dead", "shop.example")
        await asked(names, 2)
        assert await addresses(resolver, "b", "shop.example") == ["127.0.0.1"]
        names.recovered.set()
        await asyncio.gather(*waiting)
        assert names.asked == ["1.dead", "2.dead", "shop.example"]


async def test_an_unknown_host_is_asked_for_again() -> None:
    async with resolving() as (names, resolver):
        for _ in range(2):
            with pytest.raises(OSError, match="no such name"):
                await addresses(resolver, "a", "unknown.example")
        assert names.asked == ["unknown.example"] * 2


async def test_an_answer_is_used_for_some_seconds() -> None:
    seconds = [0.0, FRESH - 1, FRESH + 1]
    async with resolving(clock=lambda: seconds[0]) as (names, resolver):
        while seconds:
            await addresses(resolver, "a", "shop.example")
            del seconds[0]
        assert names.asked == ["shop.example"] * 2


async def test_tools_use_no_thread_of_the_loop(server: RecordingServer) -> None:
    """Postgres, Redis and others would wait for what a tenant's name server keeps."""
    server.answer_with({})
    shared = SharedThreads.of_loop()
    async with GuardedHttpClient(allowed=LOOPBACK) as http_client:
        url = server.url.replace("127.0.0.1", "localhost")
        response = await http_client.request("GET", url, headers={}, body=None, timeout=5)
        assert response.status == 200
        assert await http_client.addresses("localhost", 80)
        with pytest.raises(Unreachable, match="no such host"):
            await http_client.request("GET", "http://unknown.invalid/", headers={}, body=None, timeout=5)
    assert shared.calls == 0
