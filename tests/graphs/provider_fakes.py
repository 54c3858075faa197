"""Fakes for the tests of model calls: settings of the providers, a server with given answers, sleeps, a breaker."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from langchain_core.messages import SystemMessage

from app.config import ModelProvider
from devkit.stack import simulated_access
from graphs.llm_client import Models, Toolbox
from graphs.providers import PROVIDERS
from graphs.sections import ModelSpec
from tests.graphs.conversation import NAME
from tools.registry import BUILTIN

KEY = "sk-very-secret"
SYSTEM = SystemMessage(NAME)
TOOLS = Toolbox([tool.declaration() for tool in BUILTIN.values()])
each_provider = pytest.mark.parametrize("provider", PROVIDERS)
COMPLETIONS = [name for name, provider in PROVIDERS.items() if provider.dialect != "gemini"]
"""The providers whose API is OpenAI's chat completions."""

Server = tuple[aiohttp.ClientSession, str]


def spec(provider: str, timeout: float = 5.0, model: str = "test-model") -> ModelSpec:
    """Return a model. `timeout` is in seconds, and may be shorter than the YAML allows."""
    return ModelSpec(provider=provider, model=model).model_copy(update={"timeout": timeout})


def access(address: str) -> dict[str, ModelProvider]:
    """Return the settings of all providers, at one address."""
    return simulated_access(address, KEY)


class RecordedSleeps:
    """A replacement of `asyncio.sleep` that records the seconds and returns at once."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class ClosedBreaker:
    """A circuit breaker that never opens, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def allows(self, provider: str) -> bool:
        return True

    async def failed(self, provider: str) -> None:
        self.calls.append(f"{provider} failed")

    async def succeeded(self, provider: str) -> None:
        self.calls.append(f"{provider} succeeded")


async def put(server: Server, what: str, body: Any) -> None:
    """Post to a control endpoint of the simulator: a text as it is, anything else as JSON."""
    http, address = server
    content: Any = {"data": body.encode()} if isinstance(body, str) else {"json": body}
    async with http.post(f"{address}/control/{what}", **content) as answer:
        assert answer.status == 200, await answer.text()


async def asked(server: Server) -> list[dict[str, Any]]:
    """Return the requests to the simulator, oldest first."""
    http, address = server
    async with http.get(f"{address}/control/requests?limit=1000") as answer:
        requests: list[dict[str, Any]] = (await answer.json())["requests"]
        return requests


# Answers in the format of OpenAI and Groq, and in Gemini's.


def completion(**message: Any) -> dict[str, Any]:
    """Return a chat completion with a message."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def called(arguments: str, identity: str | None = "c", name: str | None = "find_slots") -> dict[str, Any]:
    """Return a chat completion with a tool call."""
    call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
    return completion(content=None, tool_calls=[call])


def candidate(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of Gemini with these parts."""
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}]}


Reply = Callable[[str, Any], tuple[int, Any]]
"""Return status and body of an answer, from the path and the body of a request."""


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[str]:
    """Serve the answers of `reply` during the block. Yield the server's address."""

    async def answer(request: web.Request) -> web.Response:
        status, body = reply(request.path, await request.json())
        return web.Response(status=status, text=json.dumps(body), content_type="application/json")

    application = web.Application()
    application.router.add_post("/{rest:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (address,) = {f"http://{host}:{port}" for host, port in runner.addresses}
        yield address
    finally:
        await runner.cleanup()


@asynccontextmanager
async def at(address: str, **options: Any) -> AsyncIterator[Models]:
    """Yield a client whose providers are all at one address. `options` replace its arguments."""
    models = Models(access(address), **{"sleep": RecordedSleeps(), "breaker": ClosedBreaker(), **options})
    try:
        yield models
    finally:
        await models.close()


def provider_of(path: str) -> str:
    """Return the provider whose chats are served at the path."""
    starts = {name: f"{row.simulator_path()}{row.chat_path}".partition("{")[0] for name, row in PROVIDERS.items()}
    return next(name for name, start in starts.items() if path.startswith(start))
