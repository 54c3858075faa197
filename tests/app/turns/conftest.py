"""A second worker, where a test wants one."""

from collections.abc import AsyncIterator

import pytest

from tests.app.turns.drivers import OtherWorker
from tests.platform import Platform


@pytest.fixture
async def other(platform: Platform) -> AsyncIterator[OtherWorker]:
    """Another worker; at the test's end it has finished."""
    worker = OtherWorker(platform)
    yield worker
    await worker.gone()
