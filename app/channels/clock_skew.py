"""Measure the difference between the provider's clock and ours from the Date headers of its answers."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import structlog

log = structlog.get_logger()

RESOLUTION = timedelta(seconds=1)
"""The resolution of a Date header."""

WARN_ABOVE = timedelta(seconds=2)
"""The least difference that is logged. It is more than the resolution and the usual time of an answer."""

WARN_EVERY = timedelta(minutes=5)


class ClockSkew:
    """Holds the latest measured difference: the provider's time minus ours."""

    def __init__(self) -> None:
        self.latest: timedelta | None = None
        self._warned_at: datetime | None = None

    def observe(self, date: str | None, requested: datetime, answered: datetime) -> None:
        """Measure with one answer. A missing or malformed Date header is ignored."""
        try:
            provider = parsedate_to_datetime(date or "")
        except ValueError:
            return
        # The header is rounded down, and was written at some time between the request and the end of the answer.
        middle = requested + (answered - requested) / 2
        self.latest = provider.replace(tzinfo=provider.tzinfo or UTC) + RESOLUTION / 2 - middle
        if abs(self.latest) > WARN_ABOVE and (self._warned_at is None or answered - self._warned_at > WARN_EVERY):
            self._warned_at = answered
            log.warning("the provider's clock differs from ours", seconds=round(self.latest.total_seconds(), 1))
