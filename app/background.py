"""Run the background tasks of a process so that none ends or stands still unseen."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

LATE_AFTER = 60.0
"""Seconds without a heartbeat after which a task counts as late. A round may wait for Postgres for half of it."""


class Heartbeat:
    """Tells when a background task last showed that it goes on, and how often it had to be started again."""

    def __init__(self, task: str, now: Callable[[], float]) -> None:
        self.task = task
        self.restarts = 0
        self._now = now
        self._at = now()

    def beat(self) -> None:
        """Show that the task goes on."""
        self._at = self._now()

    def rest(self) -> None:
        """Show that the task waits for work. It is not late, however long it waits."""
        self._at = math.inf

    def end(self) -> None:
        """Show that the task has ended, and will not go on."""
        self._at = -math.inf

    @property
    def age(self) -> float:
        """Seconds since the last beat, 0 for a task that waits for work, infinite for one that has ended."""
        return max(0.0, self._now() - self._at)


class Heartbeats:
    """The heartbeats of the background tasks of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._all: dict[str, Heartbeat] = {}

    def of(self, task: str) -> Heartbeat:
        """Return the heartbeat of a task. The first call adds it."""
        return self._all.setdefault(task, Heartbeat(task, self._now))

    def late(self) -> list[str]:
        """Return the tasks that have ended, or have not shown for LATE_AFTER that they go on."""
        return [heartbeat.task for heartbeat in self._all.values() if heartbeat.age > LATE_AFTER]

    def metrics(self) -> list[str]:
        """Return the lines for Prometheus."""
        return [
            "# HELP recado_task_heartbeat_age_seconds The time since a background task has shown that it goes on.",
            "# TYPE recado_task_heartbeat_age_seconds gauge",
            *(f'recado_task_heartbeat_age_seconds{{task="{b.task}"}} {_number(b.age)}' for b in self._all.values()),
            "# HELP recado_task_restarts_total Background tasks that ended, and were started again.",
            "# TYPE recado_task_restarts_total counter",
            *(f'recado_task_restarts_total{{task="{b.task}"}} {b.restarts}' for b in self._all.values()),
        ]


def _number(seconds: float) -> str:
    return "+Inf" if math.isinf(seconds) else f"{seconds:.1f}"


class Periodic:
    """Runs a round after each pause, until it is closed. Lives in one event loop.

    A round that raises is logged. When the task ends all the same, it is counted and started again.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        pause: Callable[[], float],
        round_: Callable[[], Awaitable[None]],
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        """`pause` returns seconds. The `expected` errors are logged without their places."""
        self._heartbeat = heartbeat
        self._pause = pause
        self._round = round_
        self._expected = expected
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Start the task. The first round follows a pause."""
        self._heartbeat.beat()
        self._task = asyncio.create_task(self._repeat(), name=self._heartbeat.task)
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End the task."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._closing:
            return
        self._heartbeat.restarts += 1
        self.start()
        error = None if task.cancelled() else task.exception()
        log.error("background task ended", task=self._heartbeat.task, exc_info=error)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self._round()
            except self._expected as error:
                log.warning(f"{self._heartbeat.task} failed", error=str(error) or type(error).__name__)
            except Exception:
                log.exception(f"{self._heartbeat.task} failed")
            self._heartbeat.beat()
