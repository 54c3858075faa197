"""Fixtures: a local server, and an HTTP client that may connect to it."""

from collections.abc import AsyncIterator

import pytest

from tests.tools.fake_ports import LOOPBACK, RecordingServer, run_server
from tools.net.guarded_http import GuardedHttpClient


@pytest.fixture
async def server() -> AsyncIterator[RecordingServer]:
    """Yield a server on 127.0.0.1."""
    async with run_server() as local_server:
        yield local_server


@pytest.fixture
async def http_client() -> AsyncIterator[GuardedHttpClient]:
    """Yield a client that allows loopback addresses."""
    async with GuardedHttpClient(allowed=LOOPBACK) as way:
        yield way
