"""A circuit breaker for each provider: one that keeps failing is left alone for a while. Durations are in seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

log = structlog.get_logger()

FAILURES = 5
"""So many in a row, within WINDOW, open the breaker: nobody asks the provider for REST, and then one call may try."""
WINDOW = 60.0
REST = 15.0


class Breaker(Protocol):
    """Knows which providers are worth asking. Never raises."""

    async def allows(self, provider: str) -> bool:
        """Whether to ask the provider. True may be the one trial of a provider that rests: report how it went."""
        ...

    async def failed(self, provider: str) -> None:
        """The provider failed in a way that others who ask it would meet too."""
        ...

    async def succeeded(self, provider: str) -> None:
        """The provider answered."""
        ...


@dataclass(frozen=True)
class Record:
    """Failures in a row, when the first of them was, and until when the provider rests."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0

    @property
    def open(self) -> bool:
        """Whether only trials are allowed."""
        return self.failures >= FAILURES

    def after_failure(self, now: float) -> "Record":
        """The record with one more."""
        if not self.open and now - self.since > WINDOW:
            return Record(1, now, now + REST)
        return Record(self.failures + 1, self.since, now + REST)


@dataclass
class LocalBreaker:
    """A breaker that knows what this process has met."""

    clock: Callable[[], float] = time.monotonic
    _records: dict[str, Record] = field(default_factory=dict)

    async def allows(self, provider: str) -> bool:
        """Whether to ask the provider."""
        record, now = self._records.get(provider), self.clock()
        if record is None or not record.open:
            return True
        if now < record.until:
            return False
        # The trial. Nobody else gets one until it is reported, or has taken too long.
        self._records[provider] = replace(record, until=now + REST)
        return True

    async def failed(self, provider: str) -> None:
        """Counts."""
        record = self._records.get(provider, Record()).after_failure(self.clock())
        self._records[provider] = record
        if record.failures == FAILURES:
            log.warning("provider left alone", provider=provider, failures=FAILURES, seconds=REST)

    async def succeeded(self, provider: str) -> None:
        """Forgets the failures."""
        self._records.pop(provider, None)
