"""A circuit breaker for each provider. Durations are in seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

log = structlog.get_logger()

FAILURES = 5
"""The number of failures in a row, within WINDOW, that open the breaker for REST. Then one call may try."""
WINDOW = 60.0
REST = 15.0


class Breaker(Protocol):
    """Knows which providers may be called. Never raises."""

    async def allows(self, provider: str) -> bool:
        """Return whether to call the provider. The call may be the trial of an open breaker, so report its result."""
        ...

    async def failed(self, provider: str) -> None:
        """Report a failure that other calls of the provider would meet, too."""
        ...

    async def succeeded(self, provider: str) -> None:
        """Report an answer."""
        ...


@dataclass(frozen=True)
class BreakerState:
    """The state of a breaker: failures in a row, the time of the first one, and the end of the pause."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0

    @property
    def open(self) -> bool:
        """Whether only trials are allowed."""
        return self.failures >= FAILURES

    def after_failure(self, now: float) -> "BreakerState":
        """Return the state with one more failure."""
        if not self.open and now - self.since > WINDOW:
            return BreakerState(1, now, now + REST)
        return BreakerState(self.failures + 1, self.since, now + REST)


@dataclass
class LocalBreaker:
    """A breaker that counts the failures of this process."""

    clock: Callable[[], float] = time.monotonic
    _records: dict[str, BreakerState] = field(default_factory=dict)

    async def allows(self, provider: str) -> bool:
        """Return whether to call the provider."""
        record, now = self._records.get(provider), self.clock()
        if record is None or not record.open:
            return True
        if now < record.until:
            return False
        # This call is the trial. No other call is allowed until it is reported, or for REST.
        self._records[provider] = replace(record, until=now + REST)
        return True

    async def failed(self, provider: str) -> None:
        """Count a failure."""
        record = self._records.get(provider, BreakerState()).after_failure(self.clock())
        self._records[provider] = record
        if record.failures == FAILURES:
            log.warning("provider circuit opened", provider=provider, failures=FAILURES, seconds=REST)

    async def succeeded(self, provider: str) -> None:
        """Reset the failures."""
        self._records.pop(provider, None)
