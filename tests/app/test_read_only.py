"""A Postgres that takes no writes, as after a failover: nothing is lost, no process ends, and all goes on by itself."""

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from app import db, scheduler
from bench.chaos.outages import read_only_database, read_only_server
from devkit.simulators.twilio.signing import sign
from tests.platform import TOKEN, Log, Platform

Outage = Callable[[str], AbstractContextManager[None]]

TWILIO_WAITS = 15.0
"""Seconds until Twilio gives up on a webhook."""

either_way = pytest.mark.parametrize("outage", [read_only_database, read_only_server])


@pytest.fixture(autouse=True)
def what_the_pool_leaves() -> Iterator[None]:
    """Collect the connections that a pool was opening when it was closed. It does not close them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def stored(platform: Platform, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query, although the tests' own connections were cut, too."""
    return await db.retry_while_unavailable(lambda: platform.rows(query), within=15)


@either_way
async def test_a_webhook_waits_then_answers_503(platform: Platform, outage: Outage) -> None:
    message = platform.webhook("oi")
    url = f"{platform.settings.public_url}/api/v1/twilio/webhook"
    with outage(platform.urls.owner):
        signature = {"X-Twilio-Signature": sign(url, message, TOKEN)}
        async with (
            asyncio.timeout(TWILIO_WAITS),
            platform.http.post(url, data=message, headers=signature) as answer,
        ):
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

    async def is_stored() -> bool:
        return (await platform.post(message))[0] == 200

    await platform.until(is_stored, "Postgres to take writes again")
    statuses = [(await platform.post(platform.webhook("e aí?")))[0] for _ in range(12)]
    assert statuses == [200] * 12, "no pool keeps a read-only session"


@either_way
async def test_a_message_is_stored_when_writes_return(platform: Platform, outage: Outage) -> None:
    with outage(platform.urls.owner):
        waiting = asyncio.create_task(platform.post(platform.webhook("oi")))
        await asyncio.sleep(1)
    assert (await waiting)[0] == 200


@either_way
async def test_the_worker_goes_on_when_writes_return(platform: Platform, outage: Outage) -> None:
    engine = platform.engine
    assert engine is not None
    await platform.say("oi")
    with outage(platform.urls.owner):
        await asyncio.sleep(2)

    async def is_answered() -> bool:
        platform.clock.advance(1)
        return await platform.delivered() == ["eco: oi"]

    await platform.until(is_answered, "the answer")
    assert [row["attempts"] for row in await stored(platform, "select attempts from turns")] == [1]


@either_way
async def test_the_scheduler_outlives_the_outage(
    platform: Platform, outage: Outage, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    await platform.say("oi")
    await platform.nudge()
    await platform.replies(1)
    running = asyncio.create_task(scheduler.run(platform.settings, clock=platform.clock))

    async def is_ready() -> bool:
        return "recado scheduler ready" in capsys.readouterr().out

    await platform.until(is_ready, "the scheduler")
    with outage(platform.urls.owner):
        platform.clock.advance(90_000)

        async def has_failed() -> bool:
            return "scheduler failed" in log.text or running.done()

        await platform.until(has_failed, "the scheduler to notice")

    async def has_fired() -> bool:
        return bool(await stored(platform, "select 1 from inbox where kind = 'timer'")) or running.done()

    await platform.until(has_fired, "the timer")
    assert not running.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
