"""The answer of a claim or of a commit is lost on the wire: the worker takes the conversation up at its next sweep."""

from collections.abc import AsyncIterator

import pytest

from app.telemetry import Milestone
from devkit.simulators.lossy_proxy import LossyProxy, lossy
from tests.app.turns.drivers import once
from tests.platform import Platform


@pytest.fixture
async def proxy(platform: Platform) -> AsyncIterator[LossyProxy]:
    """The only worker reaches Postgres through a proxy, and sweeps when it is told to."""
    assert platform.engine is not None
    await platform.engine.close()
    async with (
        lossy(platform.settings.database_url) as proxy,
        platform.worker(database_url=proxy.url, sweep_interval=3600.0) as platform.engine,
    ):
        yield proxy


async def conversation_id(platform: Platform) -> str:
    return str((await platform.row("select id from conversations"))["id"])


async def sweep_when_idle(platform: Platform) -> None:
    """Let the interrupted task end, then sweep at once."""
    engine = platform.engine
    assert engine is not None

    async def idle() -> bool:
        return engine.in_flight == 0

    await platform.until(idle, "the interrupted turn to end")
    await engine.sweep()


async def test_a_lost_claim_is_repeated_at_the_next_sweep(platform: Platform, proxy: LossyProxy) -> None:
    await platform.say("oi")
    proxy.lose_answer_to(await conversation_id(platform))
    await platform.nudge()
    await platform.until(lambda: lost(proxy), "the answer to be lost")
    assert (await platform.row("select owner from conversations"))["owner"] is not None
    await sweep_when_idle(platform)
    assert await platform.replies(1) == ["eco: oi"]


async def test_a_lost_commit_is_delivered_at_the_next_sweep(platform: Platform, proxy: LossyProxy) -> None:
    await platform.say("oi")
    address = await conversation_id(platform)
    platform.at_milestone = once(Milestone.TURN_RUN, lambda: proxy.lose_answer_to(address))
    await platform.nudge()
    await platform.until(lambda: lost(proxy), "the answer to be lost")
    assert await platform.row("select turn, pending, owner from conversations") == {
        "turn": 1,
        "pending": 0,
        "owner": None,
    }
    # Sweeps leave a claimed row alone for a second, in which most rows are settled.
    platform.clock.advance(1)
    await sweep_when_idle(platform)
    assert await platform.replies(1) == ["eco: oi"]
    assert await platform.delivered() == ["eco: oi"]
    assert await platform.row("select attempts from outbox") == {"attempts": 1}


async def lost(proxy: LossyProxy) -> bool:
    return proxy.lost == 1
