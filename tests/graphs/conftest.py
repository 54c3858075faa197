"""Provide the model simulator, and graphs without a database."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from devkit.stack import simulated_access
from graphs.llm_client import Models
from tests.graphs.conversation import SCRIPT, GraphConversation, assistant, compiled
from tests.platform import SimulatorUrls

Start = Callable[..., GraphConversation]


@pytest.fixture
async def model_server(simulators: SimulatorUrls) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Yield an HTTP client and the URL of the model simulator, reset and with the script of these tests."""
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{simulators.model}/control/reset", json={}) as answer:
            assert answer.status == 200
        async with http.post(f"{simulators.model}/control/scripts", data=SCRIPT.encode()) as answer:
            assert answer.status == 200, await answer.text()
        yield http, simulators.model


@pytest.fixture
async def start(model_server: tuple[aiohttp.ClientSession, str]) -> AsyncIterator[Start]:
    """Return a function that starts a conversation with the tests' assistant. Its arguments replace fields."""
    http, address = model_server
    models = Models(simulated_access(address))

    def make(**changes: Any) -> GraphConversation:
        return GraphConversation(compiled(assistant(**changes)), models, http, address)

    yield make
    await models.close()
