"""A worker that is taken for dead while it goes on."""

from collections.abc import Callable

from app.telemetry import Milestone
from tests.app.turns.drivers import OtherWorker
from tests.app.turns.test_exactly_once import CUT_THE_LOCK, elsewhere_sql
from tests.platform import Platform

POINTS = [
    (Milestone.TURN_CLAIMED, 1),
    (Milestone.LEG_RUN, 1),
    (Milestone.LEG_COMMITTED, 1),
    (Milestone.TOOL_COMMITTED, 1),
    (Milestone.TURN_RUN, 1),
    (Milestone.TURN_COMMITTED, 1),
]
"""Where a turn that calls a tool may be cut off, and at which time it comes there."""


def cut_off(platform: Platform, other: OtherWorker, point: Milestone | None = None) -> Callable[[], None]:
    """Cuts the worker's lock, and lets the other one take over: behind the turn's commit there is nothing to take."""

    def cut() -> None:
        elsewhere_sql(platform, CUT_THE_LOCK)
        if point is not Milestone.TURN_COMMITTED:
            other.takes_over()

    return cut
