"""Provide one platform for all tests of a module."""

import uuid
from collections.abc import AsyncIterator

import aiohttp
import psycopg
import pytest
import redis

from devkit import embedded
from tests.platform import Platform, SimulatorUrls, running_platform


@pytest.fixture(scope="module")
async def lasting_platform(
    embedded_servers: embedded.EmbeddedServers, template_database: str, simulators: SimulatorUrls
) -> AsyncIterator[Platform]:
    """Yield a platform for a module whose tests leave nothing behind, or use different contacts."""
    name = f"webhooks_{uuid.uuid4().hex}"
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}".encode())
    url = embedded_servers.database_url.replace("/recado", f"/{name}")
    with redis.Redis.from_url(embedded_servers.redis_url) as client:
        client.flushall()
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{simulators.twilio}/control/reset", json={}) as answer:
            assert answer.status == 200
        async with running_platform(url, embedded_servers.redis_url, simulators, http) as running:
            yield running
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())
