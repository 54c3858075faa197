"""The model of a scenario: a server in this loop that tells when it is asked, and follows the tenant's script."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from app.config import ModelProvider
from app.errors import RecadoError
from devkit.scenarios.transcript import Transcript
from devkit.serving import AiohttpServer
from devkit.simulators.llm.faults import Faults, read_plan
from devkit.simulators.llm.loading import load_files
from devkit.simulators.llm.script import Library
from devkit.simulators.llm.server import Options, Simulator
from devkit.stack import simulated_access
from manifest.yaml_source import InvalidFiles

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Request = Mapping[str, Any]
"""One entry of the server's log."""


class Model:
    """What the scripted model and the real one have in common."""

    def __init__(self, simulator: Simulator, transcript: Transcript) -> None:
        self._simulator = simulator
        self._transcript = transcript
        self._waiting: list[asyncio.Future[None]] = []
        self._served: AiohttpServer | None = None

    def called(self) -> "asyncio.Future[None]":
        """Done at the instant of the next request, before it is answered."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def requests(self, since: int = 0) -> list[Request]:
        """What was asked after the request with the index `since`, and what was answered; oldest first."""
        found: Any = self._simulator.journal.requests(since, 2000)["requests"]
        return list(found)

    @property
    def most_at_once(self) -> int:
        """The most requests that were under way at one instant."""
        found: Any = self._simulator.journal.stats()["max_in_flight"]
        return int(found)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._served is not None, "started before"
        return self._served.port

    async def start(self) -> None:
        """Listens."""
        application = self._application()
        application.middlewares.append(self._tell)
        self._served = await AiohttpServer.start(application)

    async def stop(self) -> None:
        """Ends, whatever is under way."""
        if self._served is not None:
            await self._served.stop()

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """How a worker reaches the providers through a port that leads here."""
        raise NotImplementedError

    def _application(self) -> web.Application:
        raise NotImplementedError

    @web.middleware
    async def _tell(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self._transcript.add("model", "is asked")
        response = await handler(request)
        self._transcript.add("model", "answers" if response.status == 200 else f"answers with {response.status}")
        return response


class ScriptedModel(Model):
    """Follows the tenant's script, and takes `latency` seconds for it. Raises RecadoError when the script is wrong."""

    def __init__(self, script: Path, latency: float, transcript: Transcript) -> None:
        self._latency_ms = latency * 1000
        try:
            library = Library(load_files([script]))
        except InvalidFiles as error:
            raise RecadoError(str(error)) from None
        super().__init__(Simulator(library, Options(self._latency_ms)), transcript)

    def access(self, port: int) -> Mapping[str, ModelProvider]:
        """Any key is good enough."""
        return simulated_access(f"http://127.0.0.1:{port}", "scripted")

    def misbehave(self, provider: str, fault: int | str, times: int) -> None:
        """The next `times` requests to a provider go wrong."""
        plan = {f"p_{fault}": 1.0, "count": times, "only_provider": provider}
        self._simulator.faults = Faults(read_plan(plan, self._latency_ms))

    def _application(self) -> web.Application:
        return self._simulator.application()
