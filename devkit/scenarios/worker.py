"""A worker of a scenario, which may be held at a milestone, or killed there."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app import worker
from app.clock import Clock
from app.config import ModelProvider, Settings
from app.telemetry import Milestone
from app.turns.engine import Engine
from devkit.scenarios.cuttable_proxy import Cables, Target

Access = Callable[[int], Mapping[str, ModelProvider]]
"""From the port that leads to the model server, how to reach its providers."""


_worker: contextvars.ContextVar["Worker | None"] = contextvars.ContextVar("worker", default=None)
"""Whose a task is."""


class Worker:
    """An engine whose every connection goes through cables of its own."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._cables = Cables()
        self._expected: dict[Milestone, asyncio.Future[None]] = {}
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._dead = False
        self._engine: Engine | None = None
        self._context = contextvars.copy_context()
        self._context.run(_worker.set, self)

    async def start(self, model_port: int, access: Access) -> None:
        """Returns when it is registered. Raises whatever keeps it from starting."""
        connection = conninfo_to_dict(self._settings.database_url)
        database_port = await self._cables.lay(_database(connection))
        twilio = urlsplit(self._settings.twilio_api_url)
        twilio_port = await self._cables.lay((twilio.hostname or "", twilio.port or 0))
        settings = replace(
            self._settings,
            # The name of the host stays, for certificates are checked against it.
            database_url=make_conninfo(self._settings.database_url, hostaddr="127.0.0.1", port=database_port),
            twilio_api_url=f"http://127.0.0.1:{twilio_port}",
            providers=access(await self._cables.lay(("127.0.0.1", model_port))),
        )
        started: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(settings, started), context=self._context)
        self._task.add_done_callback(lambda task: _tell_failure(task, started))
        self._engine = await started

    async def _run(self, settings: Settings, started: "asyncio.Future[Engine]") -> None:
        async with worker.engine(settings, clock=self._clock, on_milestone=self._reached) as engine:
            started.set_result(engine)
            await self._stop.wait()

    def passes(self, milestone: Milestone) -> "asyncio.Future[None]":
        """Done when the worker has come to the milestone; nothing of it goes on until `go_on`, or `kill`."""
        return self._expected.setdefault(milestone, asyncio.get_running_loop().create_future())

    def _reached(self, milestone: Milestone) -> None:
        expected = self._expected.pop(milestone, None)
        if expected is not None and not self._dead and not expected.done():
            self._cables.hold()
            expected.set_result(None)

    def go_on(self) -> None:
        """Ends the standstill at a milestone."""
        self._cables.release()

    def nudge(self, tenant_id: UUID, conversation_id: UUID, due: float) -> None:
        """As the engine's own."""
        assert self._engine is not None, "started before"
        self._context.run(self._engine.nudge, tenant_id, conversation_id, due)

    def kill(self) -> None:
        """As `kill -9`, to all that others see of it."""
        self._dead = True
        self._cables.cut()
        self._cancel()

    async def stop(self) -> None:
        """Finishes its turns if it lives, and ends."""
        self._stop.set()
        if self._dead:
            self._cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._cables.cut()

    def _cancel(self) -> None:
        """What the dead would still try, such as to reach Postgres again, would take real time."""
        for task in asyncio.all_tasks():
            if task.get_context().get(_worker) is self:
                task.cancel()


def _tell_failure(task: "asyncio.Task[None]", started: "asyncio.Future[Engine]") -> None:
    if not started.done():
        error = None if task.cancelled() else task.exception()
        started.set_exception(error or RuntimeError("the worker did not start"))


def _database(connection: Mapping[str, object]) -> Target:
    host, port = str(connection.get("host") or "127.0.0.1"), int(str(connection.get("port") or 5432))
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
