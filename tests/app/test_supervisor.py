"""The processes, by the commands that run them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.supervisor import Child
from tests.platform import Platform


@contextmanager
def process(platform: Platform, logs: Path, *command: str) -> Iterator[Child]:
    child = Child(command[0], [sys.executable, "-m", "cli", *command], platform.environment, logs / command[0])
    child.start()
    try:
        child.wait_until_ready()
        yield child
    finally:
        child.stop()


@pytest.mark.parametrize("command", [("api", "--port", "0"), ("worker",), ("scheduler",)], ids=lambda c: c[0])
async def test_says_when_it_is_ready_and_ends_on_sigterm(
    platform: Platform, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with process(platform, tmp_path, *command) as child:
        assert child.stop() == 0, child.output()


async def begins_a_turn(platform: Platform) -> None:
    """One that takes its time."""
    await platform.say("lento, por favor")

    async def claimed() -> bool:
        return bool(await platform.rows("select 1 from conversations where owner is not null"))

    await platform.until(claimed, "the turn to begin")


async def test_a_worker_that_is_ended_finishes_its_turns(platform: Platform, tmp_path: Path) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    with process(platform, tmp_path, "worker") as child:
        await begins_a_turn(platform)
        child.send(signal.SIGTERM)
        assert child.stop() == 0
    assert await platform.delivered() == ["cheguei - lento, por favor"]


async def test_a_worker_that_is_killed_leaves_its_turn_to_another(platform: Platform, tmp_path: Path) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    with process(platform, tmp_path, "worker") as child:
        await begins_a_turn(platform)
        child.send(signal.SIGKILL)
        async with platform.worker():
            assert await platform.replies(1) == ["cheguei - lento, por favor"]
