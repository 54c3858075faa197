"""Faults for tests: a worker that loses its lease while it runs, and broken connections."""

from collections.abc import Callable
from typing import LiteralString

import psycopg

from app.telemetry import Milestone
from tests.app.turns.drivers import OtherWorker, from_other_process
from tests.platform import Platform

POINTS = [
    (Milestone.TURN_CLAIMED, 1),
    (Milestone.LEG_RUN, 1),
    (Milestone.LEG_COMMITTED, 1),
    (Milestone.TOOL_COMMITTED, 1),
    (Milestone.TURN_RUN, 1),
    (Milestone.TURN_COMMITTED, 1),
]
"""Milestones of a turn that calls a tool, and the count at which the fault happens."""


def cut_off(platform: Platform, other: OtherWorker, point: Milestone | None = None) -> Callable[[], None]:
    """Return a fault: the worker loses its lease and the other worker takes over, unless the turn is committed."""

    def cut() -> None:
        run_sql(platform, CUT_THE_LOCK)
        if point is not Milestone.TURN_COMMITTED:
            other.take_over()

    return cut


CUT_THE_LOCK: LiteralString = """
    select pg_terminate_backend(pid) from pg_locks
    where locktype = 'advisory' and classid = 7701 and granted
        and database = (select oid from pg_database where datname = current_database())
"""
CUT_EVERYTHING: LiteralString = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


def run_sql(platform: Platform, query: LiteralString) -> None:
    """Run a statement as the superuser, on a connection of another thread."""

    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(platform.urls.owner, autocommit=True) as connection:
            await connection.execute(query)

    from_other_process(run)


class Broken(Exception):
    """An unexpected error."""


def always(milestone: Milestone) -> Callable[[Milestone], None]:
    """Return a hook that fails at every pass of a milestone."""

    def reached(reached_now: Milestone) -> None:
        if reached_now is milestone:
            raise Broken

    return reached
