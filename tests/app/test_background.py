"""Background tasks: they begin again, and their heartbeats tell how they are."""

import asyncio

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from app import health, worker
from app.background import LATE_AFTER, Heartbeats, Periodic
from app.errors import RecadoError
from app.health import Address
from app.worker import watch_queue
from tests.platform import Log, Platform


class Rounds:
    """Counts the rounds of a task, each of which may fail."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.enough = asyncio.Event()

    async def one(self) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.enough.set()


async def come_to_pass(heartbeats: Heartbeats, rounds: Rounds) -> None:
    task = Periodic(heartbeats.of("task"), lambda: 0.001, rounds.one, (OSError,))
    task.start()
    async with asyncio.timeout(20):
        await rounds.enough.wait()
    await task.close()


async def test_a_round_that_fails_is_logged_and_repeated(log: Log) -> None:
    heartbeats = Heartbeats()
    await come_to_pass(heartbeats, Rounds(OSError("away"), ValueError("odd"), ValueError("odd")))
    assert [(line["event"], line["level"]) for line in log.lines] == [
        ("task failed", "warning"),
        ("task failed", "error"),
        ("task failed", "error"),
    ]
    assert 'recado_task_restarts_total{task="task"} 0' in heartbeats.metrics()


async def test_a_task_that_ends_begins_again(log: Log) -> None:
    heartbeats = Heartbeats()
    await come_to_pass(heartbeats, Rounds(asyncio.CancelledError(), asyncio.CancelledError()))
    assert [(line["event"], line["task"]) for line in log.lines] == [("background task ended", "task")] * 2
    assert 'recado_task_restarts_total{task="task"} 2' in heartbeats.metrics()


@pytest.mark.parametrize("name", ["sweeper", "sender", "lease"])
async def test_a_worker_whose_tasks_end_goes_on(platform: Platform, name: str) -> None:
    heartbeats = Heartbeats()
    assert platform.engine is not None
    await platform.engine.close()
    others = asyncio.all_tasks()
    async with worker.engine(platform.settings, clock=platform.clock, heartbeats=heartbeats):
        (task,) = [task for task in asyncio.all_tasks() - others if task.get_name() == name]
        task.cancel()
        await asyncio.wait([task])
        await platform.say("oi")
        platform.clock.advance(2)
        assert await platform.replies(1) == ["eco: oi"]
        assert f'recado_task_restarts_total{{task="{name}"}} 1' in heartbeats.metrics()
        assert heartbeats.late() == []


async def test_an_ended_thread_of_the_queue_ends_the_worker() -> None:
    consumer = dramatiq.Worker(StubBroker(), worker_threads=2, worker_timeout=10)
    consumer.start()
    watching = asyncio.create_task(watch_queue(consumer, asyncio.Event()))
    consumer.workers[1].stop()
    with pytest.raises(RecadoError, match="thread that reads the queue"):
        await watching
    await asyncio.to_thread(consumer.stop)


async def asked(port: int | None, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def test_health_names_the_tasks_that_are_late() -> None:
    now = [0.0]
    heartbeats = Heartbeats(lambda: now[0])
    going, standing, resting, ended = (heartbeats.of(name) for name in ("going", "standing", "resting", "ended"))
    resting.rest()
    async with health.serve(heartbeats, Address("127.0.0.1", 0)) as port:
        assert await asked(port, "/healthz") == (200, "ok\n")
        now[0] = LATE_AFTER + 1
        going.beat()
        ended.beat()
        assert await asked(port, "/healthz") == (503, "late: standing\n")
        standing.beat()
        ended.end()
        assert await asked(port, "/healthz") == (503, "late: ended\n")
        status, text = await asked(port, "/metrics")
        assert status == 200
        assert 'recado_task_heartbeat_age_seconds{task="going"} 0.0' in text
        assert 'recado_task_heartbeat_age_seconds{task="resting"} 0.0' in text
        assert 'recado_task_heartbeat_age_seconds{task="ended"} +Inf' in text
        assert "recado_log_lines_dropped_total " in text
        assert (await asked(port, "/"))[0] == 404


async def test_health_survives_callers_that_speak_no_http() -> None:
    async with health.serve(Heartbeats(), Address("127.0.0.1", 0)) as port:
        for request in (b"", b"\r\n\r\n", b"x" * 100_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            await reader.read()
            writer.close()
        assert (await asked(port, "/healthz"))[0] == 200
