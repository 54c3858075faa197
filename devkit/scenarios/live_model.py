"""Forward a scenario's model requests to the real providers, and log them as the simulator does."""

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from app.config import ModelProvider
from devkit.scenarios.model import ScenarioModel
from devkit.scenarios.transcript import Transcript
from devkit.simulators.llm.chat import ChatAnswer, RequestRejected
from devkit.simulators.llm.request_log import LoggedRequest
from devkit.simulators.llm.script import ScriptLibrary
from devkit.simulators.llm.server import MAX_BODY, WIRE_FORMATS, ModelSimulator, SimulatorOptions
from graphs.providers import PROVIDERS

FORWARDED_HEADERS = ("authorization", "x-goog-api-key", "content-type", "accept")
CALL_TIMEOUT = 90.0
"""Real seconds for one call. The product's own timeout is virtual, and virtual time stands still during the call."""


def keys_in_environment() -> dict[str, str]:
    """Return the providers' API keys that are set in the environment."""
    found = {name: os.environ.get(provider.key_variable, "") for name, provider in PROVIDERS.items()}
    return {name: key for name, key in found.items() if key}


class LiveModel(ScenarioModel):
    """The real models. Virtual time stands still during a call, and then moves on by `latency` seconds."""

    def __init__(self, latency: float, transcript: Transcript) -> None:
        super().__init__(ModelSimulator(ScriptLibrary(()), SimulatorOptions()), transcript)
        self._latency = latency

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """Return the settings of the providers that have a key in the environment."""
        keys = keys_in_environment()
        return {name: ModelProvider(key, f"http://127.0.0.1:{port}/{name}") for name, key in keys.items()}

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post("/{provider}/{path:.*}", self._forward)
        return application

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        name, path = request.match_info["provider"], request.match_info["path"]
        request_body = await request.read()
        entry = self._simulator.request_log.begin(name, WIRE_FORMATS[name], request_body)
        status, body = 502, b""
        try:
            # In a thread: virtual time stands still until it ends, and the timeout is a real one.
            status, body = await asyncio.to_thread(_post, _forwarded(name, path, request, request_body))
            await asyncio.sleep(self._latency)
        finally:
            self._simulator.request_log.end(entry, status)
        _log(entry, path, request_body, body)
        return web.Response(body=body, status=status, content_type="application/json")


def _forwarded(name: str, path: str, request: web.Request, body: bytes) -> urllib.request.Request:
    provider = PROVIDERS[name]
    base = os.environ.get(provider.url_variable) or provider.default_url
    query = f"?{request.query_string}" if request.query_string else ""
    headers = {key: value for key, value in request.headers.items() if key.lower() in FORWARDED_HEADERS}
    return urllib.request.Request(f"{base}/{path}{query}", body, headers)


def _post(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 502, json.dumps({"error": {"message": f"no answer: {error}"}}).encode()


def _log(entry: LoggedRequest, path: str, request_body: bytes, body: bytes) -> None:
    """Write request and answer into the log. An answer that cannot be parsed is logged as an error."""
    wire_format = WIRE_FORMATS[entry.provider]
    try:
        chat = wire_format.read(request_body, path.rpartition("/")[2])
        answer: Any = json.loads(body)
        if PROVIDERS[entry.provider].dialect == "gemini":
            history: dict[str, Any] = {"contents": [answer["candidates"][0]["content"]]}
        else:
            history = {"messages": [answer["choices"][0]["message"]]}
        message = wire_format.messages(json.dumps(history).encode())[-1]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RequestRejected):
        entry.kind, entry.error = "error", body[:200].decode(errors="replace")
        return
    entry.model, entry.tools, entry.structured = chat.model, tuple(chat.tools), chat.structured
    entry.answer = ChatAnswer(text=message.text, calls=list(message.calls), structured=chat.structured)
