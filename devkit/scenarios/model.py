"""Serve the model of a scenario in its event loop, and tell when a request arrives."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from app.config import ModelProvider
from app.errors import RecadoError
from devkit.scenarios.transcript import Transcript
from devkit.serving import AiohttpServer
from devkit.simulators.llm.faults import ModelFaultInjector, parse_plan
from devkit.simulators.llm.script import ScriptLibrary
from devkit.simulators.llm.script_loader import load_files
from devkit.simulators.llm.server import ModelSimulator, SimulatorOptions
from devkit.stack import simulated_access
from manifest.yaml_source import InvalidFiles

MAX_REQUESTS = 2000
"""The number of requests that are read from the log at once."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RequestRecord = Mapping[str, Any]
"""A request and its answer, as the simulator's log describes them."""


class ScenarioModel:
    """The base of the scripted and the real model."""

    def __init__(self, simulator: ModelSimulator, transcript: Transcript) -> None:
        self._simulator = simulator
        self._transcript = transcript
        self._waiting: list[asyncio.Future[None]] = []
        self._server: AiohttpServer | None = None

    def next_request(self) -> "asyncio.Future[None]":
        """Return a future that is done when the next request arrives, before it is answered."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def requests(self, since: int = 0) -> list[RequestRecord]:
        """Return the requests with an index above `since`, oldest first."""
        found: Any = self._simulator.request_log.requests(since, MAX_REQUESTS)["requests"]
        return list(found)

    @property
    def max_in_flight(self) -> int:
        """The largest number of requests that ran at the same time."""
        found: Any = self._simulator.request_log.stats()["max_in_flight"]
        return int(found)

    @property
    def port(self) -> int:
        """The port that the model listens on."""
        assert self._server is not None, "started before"
        return self._server.port

    async def start(self) -> None:
        """Start to listen."""
        application = self._application()
        application.middlewares.append(self._announce)
        self._server = await AiohttpServer.start(application)

    async def stop(self) -> None:
        """Stop, and cancel the requests that run."""
        if self._server is not None:
            await self._server.stop()

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """Return the settings of the providers. `port` is that of a proxy before this model."""
        raise NotImplementedError

    def _application(self) -> web.Application:
        raise NotImplementedError

    @web.middleware
    async def _announce(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self._transcript.add("model", "is asked")
        response = await handler(request)
        self._transcript.add("model", "answers" if response.status == 200 else f"answers with {response.status}")
        return response


class ScriptedModel(ScenarioModel):
    """A model that follows the tenant's script. Each answer takes `latency` virtual seconds.

    Raises RecadoError when the script is not valid.
    """

    def __init__(self, script: Path, latency: float, transcript: Transcript) -> None:
        self._latency_ms = latency * 1000
        try:
            library = ScriptLibrary(load_files([script]))
        except InvalidFiles as error:
            raise RecadoError(str(error)) from None
        super().__init__(ModelSimulator(library, SimulatorOptions(self._latency_ms)), transcript)

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """Return the settings of all providers. The simulator accepts any key."""
        return simulated_access(f"http://127.0.0.1:{port}", "scripted")

    def inject_fault(self, provider: str, fault: int | str, times: int) -> None:
        """Make the next `times` requests to a provider fail."""
        plan = {f"p_{fault}": 1.0, "count": times, "only_provider": provider}
        self._simulator.faults = ModelFaultInjector(parse_plan(plan, self._latency_ms))

    def _application(self) -> web.Application:
        return self._simulator.application()
