"""Serve the control endpoints of the model simulator: faults, scripts, log and counts."""

from aiohttp import web

from devkit.simulators.llm import codec
from devkit.simulators.llm.faults import ModelFaultInjector, parse_plan
from devkit.simulators.llm.request_log import MAX_REQUESTS
from devkit.simulators.llm.script_loader import load_text
from devkit.simulators.llm.server import ModelSimulator
from manifest.yaml_source import InvalidFiles


class ModelControlApi:
    """The endpoints below /control."""

    def __init__(self, simulator: ModelSimulator) -> None:
        self._simulator = simulator

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        routes = application.router
        routes.add_get("/control/faults", self._faults)
        routes.add_post("/control/faults", self._set_faults)
        routes.add_get("/control/scripts", self._scripts)
        routes.add_post("/control/scripts", self._load_scripts)
        routes.add_get("/control/requests", self._requests)
        routes.add_get("/control/stats", self._stats)
        routes.add_post("/control/reset", self._reset)

    async def _faults(self, request: web.Request) -> web.Response:
        return _reply(self._simulator.faults.describe())

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            document = codec.loads(await request.read())
            plan = parse_plan(document, self._simulator.options.latency_ms)
        except ValueError as error:
            return _reply({"error": str(error)}, 400)
        self._simulator.faults = ModelFaultInjector(plan)
        return _reply(self._simulator.faults.describe())

    async def _scripts(self, request: web.Request) -> web.Response:
        return _reply({"scripts": self._simulator.library.names})

    async def _load_scripts(self, request: web.Request) -> web.Response:
        try:
            self._simulator.library.put(load_text(await request.text(), "posted"))
        except (InvalidFiles, UnicodeDecodeError) as error:
            return _reply({"error": str(error)}, 400)
        return _reply({"scripts": self._simulator.library.names})

    async def _requests(self, request: web.Request) -> web.Response:
        try:
            since = int(request.query.get("since", "0"))
            limit = int(request.query.get("limit", "100"))
        except ValueError:
            return _reply({"error": "since and limit must be whole numbers"}, 400)
        return _reply(self._simulator.request_log.requests(since, max(0, min(limit, MAX_REQUESTS))))

    async def _stats(self, request: web.Request) -> web.Response:
        return _reply(self._simulator.request_log.stats())

    async def _reset(self, request: web.Request) -> web.Response:
        self._simulator.reset()
        return _reply({"scripts": self._simulator.library.names})


def _reply(document: object, status: int = 200) -> web.Response:
    return web.Response(body=codec.dumps(document), content_type="application/json", status=status)
