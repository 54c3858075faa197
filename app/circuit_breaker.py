"""A circuit breaker that all workers share in Redis. Durations are in seconds.

While Redis is unavailable or slow, each process decides by its own failures.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from graphs.circuit_breaker import FAILURES, REST, WINDOW, BreakerState, LocalBreaker

log = structlog.get_logger()

FRESH = 1.0
"""The time that an answer of Redis is used, so that a healthy provider costs one request to Redis per second."""
SLOW = 0.25
"""The time limit for Redis. After a timeout Redis is not asked for REDIS_PAUSE."""
REDIS_PAUSE = 5.0

# Both scripts answer failures, since, until. The moments come from the workers' clocks; the key's life is only longer.
LOOK = """
local record = redis.call('HMGET', KEYS[1], 'failures', 'since', 'until')
local failures, now = tonumber(record[1] or 0), tonumber(ARGV[1])
local trial = 0
if failures >= tonumber(ARGV[2]) and now >= tonumber(record[3]) then
    trial = 1
    record[3] = now + tonumber(ARGV[3])
    redis.call('HSET', KEYS[1], 'until', record[3])
    redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return {tostring(failures), tostring(record[2] or 0), tostring(record[3] or 0), tostring(trial)}
"""
COUNT = """
local record = redis.call('HMGET', KEYS[1], 'failures', 'since')
local failures, since, now = tonumber(record[1] or 0), tonumber(record[2] or 0), tonumber(ARGV[1])
if failures == 0 or (failures < tonumber(ARGV[2]) and now - since > tonumber(ARGV[5])) then
    failures, since = 0, now
end
local rests = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'failures', failures + 1, 'since', since, 'until', rests)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {tostring(failures + 1), tostring(since), tostring(rests), '0'}
"""
LIFE = int(WINDOW + 10 * REST)


@dataclass(frozen=True)
class _Seen:
    """A state of the breaker in Redis, and the time until which it is used."""

    record: BreakerState
    until: float
    trial: bool = False


class RedisBreaker:
    """Implements graphs.circuit_breaker.Breaker. Create and close it in the event loop that uses it."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time, *, namespace: str = "recado") -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=SLOW,
            socket_connect_timeout=SLOW,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._clock = clock
        self._namespace = namespace
        self._local = LocalBreaker(clock)
        self._seen: dict[str, _Seen] = {}
        self._away_until = 0.0

    async def allows(self, provider: str) -> bool:
        """Return whether the provider may be called."""
        now, seen = self._clock(), self._seen.get(provider)
        if seen is not None and now < seen.until:
            return not seen.record.open
        # Only the first caller asks Redis. Until it is answered, the others use the state known before.
        if seen is not None:
            self._seen[provider] = _Seen(seen.record, now + FRESH)
        answered = await self._run(LOOK, provider)
        if answered is None:
            return await self._local.allows(provider)
        return answered.trial or not answered.record.open

    async def failed(self, provider: str) -> None:
        """Count a failure, for all workers."""
        await self._local.failed(provider)
        counted = await self._run(COUNT, provider)
        if counted is not None and counted.record.failures == FAILURES:
            log.warning("provider circuit opened for all workers", provider=provider, failures=FAILURES, seconds=REST)

    async def succeeded(self, provider: str) -> None:
        """Reset the failures, for all workers. Calls Redis only if there were any."""
        await self._local.succeeded(provider)
        seen = self._seen.get(provider)
        if seen is None or seen.record.failures == 0:
            return
        self._seen[provider] = _Seen(BreakerState(), self._clock() + FRESH)
        await self._reached(lambda: self._redis.delete(self._key(provider)))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _key(self, provider: str) -> str:
        return f"{self._namespace}:breaker:{provider}"

    async def _run(self, script: str, provider: str) -> _Seen | None:
        now = self._clock()
        arguments = [repr(now), str(FAILURES), str(REST), str(LIFE), str(WINDOW)]
        answer = await self._reached(lambda: self._redis.eval(script, 1, self._key(provider), *arguments))
        if answer is None:
            self._seen.pop(provider, None)
            return None
        failures, since, until, trial = answer
        seen = _Seen(BreakerState(int(failures), float(since), float(until)), now + FRESH, trial == "1")
        self._seen[provider] = seen
        return seen

    async def _reached(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Return Redis's answer, or None when it fails now or failed within the last REDIS_PAUSE."""
        if self._clock() < self._away_until:
            return None
        try:
            async with asyncio.timeout(SLOW):
                return await command()
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError.
            self._away_until = self._clock() + REDIS_PAUSE
            log.warning("breaker is on its own", error=type(error).__name__, reason="redis is slow or down")
            return None
