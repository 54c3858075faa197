"""Graphs without a database, on the model simulator."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from app.config import ModelProvider
from graphs.llm_client import Models
from tests.graphs.conversation import SCRIPT, Talk, assistant, compiled
from tests.platform import Servers

Start = Callable[..., Talk]


@pytest.fixture
async def model_server(simulators: Servers) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """The model simulator as it starts, with the script of these tests."""
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{simulators.model}/control/reset", json={}) as answer:
            assert answer.status == 200
        async with http.post(f"{simulators.model}/control/scripts", data=SCRIPT.encode()) as answer:
            assert answer.status == 200, await answer.text()
        yield http, simulators.model


@pytest.fixture
async def start(model_server: tuple[aiohttp.ClientSession, str]) -> AsyncIterator[Start]:
    """Makes a conversation with an assistant: the tests' one, with these changes."""
    http, address = model_server
    models = Models({"openai": ModelProvider("key", f"{address}/v1")})

    def make(**changes: Any) -> Talk:
        return Talk(compiled(assistant(**changes)), models, http, address)

    yield make
    await models.close()
