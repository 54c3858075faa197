"""Time as a dependency. Every time that reaches Postgres or a graph comes from a Clock, so that tests can set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A function that returns the current time, aware, in UTC."""


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)
