"""What the tests of model calls share: the providers at a simulator, or at a server that answers as a test says."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from langchain_core.messages import SystemMessage

from app.config import ModelProvider
from graphs.llm_client import Models, Toolbox
from graphs.sections import ModelSpec
from tests.graphs.conversation import NAME
from tools.registry import BUILTIN

KEY = "sk-very-secret"
PROVIDERS = ("openai", "groq", "google")
SYSTEM = SystemMessage(NAME)
TOOLS = Toolbox([tool.declaration() for tool in BUILTIN.values()])
each_provider = pytest.mark.parametrize("provider", PROVIDERS)

Server = tuple[aiohttp.ClientSession, str]


def spec(provider: str, timeout: float = 5.0, model: str = "test-model") -> ModelSpec:
    return ModelSpec(provider=provider, model=model).model_copy(update={"timeout": timeout})


def access(address: str) -> dict[str, ModelProvider]:
    """All providers, at one address."""
    return {name: ModelProvider(KEY, f"{address}/v1" if name == "openai" else address) for name in PROVIDERS}


class Naps:
    """Takes the place of waiting: keeps for how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class Closed:
    """A breaker that never opens, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def allows(self, provider: str) -> bool:
        return True

    async def failed(self, provider: str) -> None:
        self.told.append(f"{provider} failed")

    async def succeeded(self, provider: str) -> None:
        self.told.append(f"{provider} succeeded")


async def put(server: Server, what: str, body: Any) -> None:
    """Tells the simulator something: an object as JSON, a text as it is."""
    http, address = server
    content: Any = {"data": body.encode()} if isinstance(body, str) else {"json": body}
    async with http.post(f"{address}/control/{what}", **content) as answer:
        assert answer.status == 200, await answer.text()


async def asked(server: Server) -> list[dict[str, Any]]:
    """What the simulator was asked, oldest first."""
    http, address = server
    async with http.get(f"{address}/control/requests?limit=1000") as answer:
        requests: list[dict[str, Any]] = (await answer.json())["requests"]
        return requests


# Answers as OpenAI and Groq, and as Gemini, write them.


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def called(arguments: str, identity: str | None = "c", name: str | None = "find_slots") -> dict[str, Any]:
    call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
    return completion(content=None, tool_calls=[call])


def candidate(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}]}


Reply = Callable[[str, Any], tuple[int, Any]]
"""Of a path and a request's body: the status and the body of the answer."""


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[str]:
    """A server's address."""

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
    """Models whose providers are all there."""
    models = Models(access(address), **{"sleep": Naps(), "breaker": Closed(), **options})
    try:
        yield models
    finally:
        await models.close()


def provider_of(path: str) -> str:
    """Whose address it is that was asked."""
    prefixes: Mapping[str, str] = {"/openai/": "groq", "/v1beta/": "google"}
    return next((name for prefix, name in prefixes.items() if path.startswith(prefix)), "openai")
