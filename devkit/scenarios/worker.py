"""Run a worker in a scenario's event loop, which can be paused at a milestone and killed."""

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
from devkit.scenarios.cuttable_proxy import CuttableProxy, Target

ProviderAccess = Callable[[int], Mapping[str, ModelProvider]]
"""Return the settings of the model providers, whose requests go to the given port."""


_owner: contextvars.ContextVar["KillableWorker | None"] = contextvars.ContextVar("owner", default=None)
"""The worker that started the running task."""


class KillableWorker:
    """A worker's engine whose connections all go through a proxy of its own."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._proxy = CuttableProxy()
        self._pauses: dict[Milestone, asyncio.Future[None]] = {}
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_killed = False
        self._engine: Engine | None = None
        self._context = contextvars.copy_context()
        self._context.run(_owner.set, self)

    async def start(self, model_port: int, access: ProviderAccess) -> None:
        """Start, and return when the worker is registered. Raises the error that its start ended with."""
        connection = conninfo_to_dict(self._settings.database_url)
        database_port = await self._proxy.forward_to(_database(connection))
        twilio = urlsplit(self._settings.twilio_api_url)
        twilio_port = await self._proxy.forward_to((twilio.hostname or "", twilio.port or 0))
        settings = replace(
            self._settings,
            database_url=_through(self._settings.database_url, database_port),
            system_database_url=_through(self._settings.system_database_url, database_port),
            twilio_api_url=f"http://127.0.0.1:{twilio_port}",
            providers=access(await self._proxy.forward_to(("127.0.0.1", model_port))),
        )
        started: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(settings, started), context=self._context)
        self._task.add_done_callback(lambda task: _pass_failure(task, started))
        self._engine = await started

    async def _run(self, settings: Settings, started: "asyncio.Future[Engine]") -> None:
        async with worker.engine(settings, clock=self._clock, on_milestone=self._reached) as engine:
            started.set_result(engine)
            await self._stop.wait()

    def pause_at(self, milestone: Milestone) -> "asyncio.Future[None]":
        """Pause the worker when it comes to the milestone. The future is done then; `resume` ends the pause."""
        return self._pauses.setdefault(milestone, asyncio.get_running_loop().create_future())

    def _reached(self, milestone: Milestone) -> None:
        reached = self._pauses.pop(milestone, None)
        if reached is not None and not self._is_killed and not reached.done():
            self._proxy.pause()
            reached.set_result(None)

    def resume(self) -> None:
        """End the pause at a milestone."""
        self._proxy.resume()

    def nudge(self, tenant_id: UUID, conversation_id: UUID, due: float) -> None:
        """Nudge the engine about a conversation. `due` is in epoch seconds."""
        assert self._engine is not None, "started before"
        self._context.run(self._engine.nudge, tenant_id, conversation_id, due)

    def kill(self) -> None:
        """End the worker as `kill -9` does, as far as others can see it."""
        self._is_killed = True
        self._proxy.cut()
        self._cancel()

    async def stop(self) -> None:
        """End the worker. A worker that was not killed finishes its turns first."""
        self._stop.set()
        if self._is_killed:
            self._cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._proxy.cut()

    def _cancel(self) -> None:
        """Cancel the worker's tasks. What they would still try, such as connecting to Postgres, takes real time."""
        for task in asyncio.all_tasks():
            if task.get_context().get(_owner) is self:
                task.cancel()


def _pass_failure(task: "asyncio.Task[None]", started: "asyncio.Future[Engine]") -> None:
    if not started.done():
        error = None if task.cancelled() else task.exception()
        started.set_exception(error or RuntimeError("the worker did not start"))


def _through(url: str, port: int) -> str:
    # The name of the host stays, for certificates are checked against it.
    return make_conninfo(url, hostaddr="127.0.0.1", port=port)


def _database(connection: Mapping[str, object]) -> Target:
    host, port = str(connection.get("host") or "127.0.0.1"), int(str(connection.get("port") or 5432))
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
