"""The real providers, behind a go-between that keeps the same log as the simulated server."""

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from app.config import ModelProvider
from devkit.scenarios.model import Model
from devkit.scenarios.transcript import Transcript
from devkit.simulators.llm.chat import Answer, Rejected
from devkit.simulators.llm.journal import Entry
from devkit.simulators.llm.script import Library
from devkit.simulators.llm.server import MAX_BODY, WIRES, Options, Simulator
from graphs.providers import PROVIDERS

PASSED_ON = ("authorization", "x-goog-api-key", "content-type", "accept")
LONGEST_CALL = 90.0
"""Real seconds for one answer. The product's own limit is virtual, and time stands still meanwhile."""


def known_keys() -> dict[str, str]:
    """The providers' keys in the environment."""
    found = {name: os.environ.get(provider.key_variable, "") for name, provider in PROVIDERS.items()}
    return {name: key for name, key in found.items() if key}


class LiveModel(Model):
    """Passes requests on to the providers. Virtual time stands still while they think, then moves by `latency`."""

    def __init__(self, latency: float, transcript: Transcript) -> None:
        super().__init__(Simulator(Library(()), Options()), transcript)
        self._latency = latency

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """With the keys of the environment."""
        return {name: ModelProvider(key, f"http://127.0.0.1:{port}/{name}") for name, key in known_keys().items()}

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post("/{provider}/{path:.*}", self._pass_on)
        return application

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        name, path = request.match_info["provider"], request.match_info["path"]
        asked = await request.read()
        entry = self._simulator.journal.begin(name, WIRES[name], asked)
        status, body = 502, b""
        try:
            # In a thread, for the loop's time stands still until it has finished, and the limit here is a real one.
            status, body = await asyncio.to_thread(_post, _passed_on(name, path, request, asked))
            await asyncio.sleep(self._latency)
        finally:
            self._simulator.journal.end(entry, status)
        _note(entry, path, asked, body)
        return web.Response(body=body, status=status, content_type="application/json")


def _passed_on(name: str, path: str, request: web.Request, body: bytes) -> urllib.request.Request:
    provider = PROVIDERS[name]
    base = os.environ.get(provider.url_variable) or provider.default_url
    query = f"?{request.query_string}" if request.query_string else ""
    headers = {key: value for key, value in request.headers.items() if key.lower() in PASSED_ON}
    return urllib.request.Request(f"{base}/{path}{query}", body, headers)


def _post(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_CALL) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 502, json.dumps({"error": {"message": f"no answer: {error}"}}).encode()


def _note(entry: Entry, path: str, asked: bytes, body: bytes) -> None:
    """Writes request and answer into the log, as far as they can be read."""
    wire = WIRES[entry.provider]
    try:
        chat = wire.read(asked, path.rpartition("/")[2])
        said: Any = json.loads(body)
        if PROVIDERS[entry.provider].dialect == "gemini":
            turn: dict[str, Any] = {"contents": [said["candidates"][0]["content"]]}
        else:
            turn = {"messages": [said["choices"][0]["message"]]}
        message = wire.messages(json.dumps(turn).encode())[-1]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, Rejected):
        entry.kind, entry.error = "error", body[:200].decode(errors="replace")
        return
    entry.model, entry.tools, entry.structured = chat.model, tuple(chat.tools), chat.structured
    entry.answer = Answer(text=message.text, calls=list(message.calls), structured=chat.structured)
