"""A server that remembers, and the way to it."""

from collections.abc import AsyncIterator

import pytest

from tests.tools.fake_ports import LOOPBACK, Server, running_server
from tools.net.guarded_http import GuardedHttpClient


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on 127.0.0.1."""
    async with running_server() as running:
        yield running


@pytest.fixture
async def http_client() -> AsyncIterator[GuardedHttpClient]:
    """A deployment that allows loopback."""
    async with GuardedHttpClient(allowed=LOOPBACK) as way:
        yield way
