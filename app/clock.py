"""Time as a dependency. Every time that reaches Postgres or a graph comes from a Clock, so that tests can set it.

The processes and commands use Postgres's time: `app/database_clock.py`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A function that returns the current time, aware, in UTC."""


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)
