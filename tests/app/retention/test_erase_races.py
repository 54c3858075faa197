"""A contact is erased at once, while other sessions write of it: nothing is left behind, and nothing fails."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import LiteralString

import psycopg
import pytest

from app.db import system_database
from app.retention import service as retention
from app.retention.queries import Erased
from app.telemetry import Milestone
from tests.app.retention.tables import ids_of, mentions
from tests.app.turns.drivers import THREADS, ask, drain, once
from tests.platform import CONTACT, TENANT, Platform

LOCKED: LiteralString = """
    select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""
PATIENCE = 20.0


class ErasureBehindAnother:
    """Another session holds a lock. Behind it a statement of the road waits, and behind that the erasure."""

    def __init__(self, platform: Platform, lock: LiteralString) -> None:
        self._platform = platform
        self._lock = lock
        self._locked = threading.Event()
        self.erased: Future[Erased] | None = None

    def begin(self) -> None:
        """Take the lock, in another thread."""
        self.erased = THREADS.submit(self._run)
        assert self._locked.wait(PATIENCE)

    def _run(self) -> Erased:
        url = self._platform.urls.owner
        with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watching:
            holder.execute(self._lock)
            self._locked.set()
            _wait(lambda: _waiting(watching) >= 1)
            erasing = THREADS.submit(asyncio.run, self._erase())
            _wait(lambda: _waiting(watching) >= 2)
            holder.commit()
            erased: Erased = erasing.result(PATIENCE)
            return erased

    async def _erase(self) -> Erased:
        async with system_database(self._platform.settings) as system:
            return await retention.erase_contact(system, TENANT, CONTACT)


def _waiting(connection: psycopg.Connection) -> int:
    row = connection.execute(LOCKED).fetchone()
    assert row is not None
    return int(row[0])


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the statements have not met"
        time.sleep(0.01)


CONVERSATION: LiteralString = "select 1 from conversations where status <> 'closed' for update"


@pytest.mark.parametrize("point", [Milestone.LEG_RUN, Milestone.TURN_RUN])
async def test_nothing_is_left_of_a_turn_that_commits_first(platform: Platform, point: Milestone) -> None:
    await ask(platform, "oi")
    mine = await ids_of(platform, CONTACT)
    race = ErasureBehindAnother(platform, CONVERSATION)
    platform.at_milestone = once(point, race.begin)
    await platform.say("quero marcar agora")
    await drain(platform)
    assert race.erased is not None
    erased = await asyncio.wrap_future(race.erased)
    assert (erased.contacts, erased.conversations) == (1, 1)
    await drain(platform)
    assert mentions(platform, *mine).keys() <= {"usage_ledger"}


async def test_a_message_that_arrives_first_is_erased_too(platform: Platform) -> None:
    await ask(platform, "oi")
    mine = await ids_of(platform, CONTACT)
    race = ErasureBehindAnother(platform, "select 1 from contacts for update")
    race.begin()
    await platform.say("tudo bem?")
    assert race.erased is not None
    await asyncio.wrap_future(race.erased)
    await drain(platform)
    assert mentions(platform, *mine).keys() <= {"usage_ledger"}
