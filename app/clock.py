"""Time as a dependency: every moment that reaches Postgres or a graph comes from here, so a test can set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current moment, aware, in UTC."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
