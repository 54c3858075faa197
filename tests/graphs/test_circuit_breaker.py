"""The circuit breakers on a clock that the test sets: one for a process, and one that workers share through Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing

import pytest
import redis.asyncio

from app.circuit_breaker import FRESH, REDIS_PAUSE, RedisBreaker
from graphs.circuit_breaker import FAILURES, REST, WINDOW, Breaker, LocalBreaker
from tests.interruptible_proxy import interruptible
from tests.platform import Log

NOBODY = "redis://127.0.0.1:1/0"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.now += seconds


Make = Callable[..., RedisBreaker]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(redis_url: str, clock: Clock) -> AsyncIterator[Make]:
    """A worker's breaker on the tests' Valkey, or on another address."""
    async with AsyncExitStack() as stack:

        def made(url: str = redis_url) -> RedisBreaker:
            breaker = RedisBreaker(url, clock)
            stack.push_async_callback(breaker.close)
            return breaker

        yield made


@pytest.fixture(params=["in the process", "in Valkey", "in Valkey that is away"])
def breaker(request: pytest.FixtureRequest, make: Make, clock: Clock) -> Breaker:
    """Every kind: all of them keep the same rules."""
    if request.param == "in the process":
        return LocalBreaker(clock)
    return make() if request.param == "in Valkey" else make(NOBODY)


async def fail(breaker: Breaker, times: int = FAILURES) -> None:
    for _ in range(times):
        await breaker.failed("openai")


async def test_consecutive_failures_open_one_providers_breaker(breaker: Breaker) -> None:
    await fail(breaker, FAILURES - 1)
    assert await breaker.allows("openai")
    await breaker.failed("openai")
    assert not await breaker.allows("openai")
    assert await breaker.allows("groq")


async def test_a_success_in_between_begins_the_row_anew(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, FAILURES - 1)
    await breaker.succeeded("openai")
    await fail(breaker, FAILURES - 1)
    clock.advance(FRESH)
    assert await breaker.allows("openai")


async def test_failures_that_are_far_apart_do_not_open_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(2 * FAILURES):
        await breaker.failed("openai")
        clock.advance(WINDOW / (FAILURES - 2))
        assert await breaker.allows("openai")


async def test_after_the_rest_one_call_may_try_and_a_success_closes_it(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker)
    clock.advance(REST - 0.1)
    assert not await breaker.allows("openai")
    clock.advance(FRESH)
    assert [await breaker.allows("openai") for _ in range(3)] == [True, False, False]
    await breaker.succeeded("openai")
    assert [await breaker.allows("openai") for _ in range(3)] == [True, True, True]
    await fail(breaker, FAILURES - 1)
    assert await breaker.allows("openai")


async def test_a_failed_or_lost_trial_opens_the_breaker_again(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker)
    for reported in (True, False, False):
        clock.advance(REST)
        assert await breaker.allows("openai")
        if reported:
            await breaker.failed("openai")
        clock.advance(REST - FRESH)
        assert not await breaker.allows("openai")
        clock.advance(FRESH)


async def test_workers_know_of_each_others_failures(make: Make, clock: Clock) -> None:
    first, second = make(), make()
    assert await second.allows("openai")
    await fail(first, FAILURES - 1)
    await second.failed("openai")
    assert [await worker.allows("openai") for worker in (first, second)] == [True, False]
    clock.advance(FRESH)
    assert not await first.allows("openai")


async def test_workers_share_one_trial_and_its_result(make: Make, clock: Clock) -> None:
    workers = [make() for _ in range(4)]
    await fail(workers[0])
    clock.advance(REST)
    allowed = [worker for worker in workers if await worker.allows("openai")]
    assert len(allowed) == 1
    await allowed[0].succeeded("openai")
    clock.advance(FRESH)
    assert all([await worker.allows("openai") for worker in workers])


async def commands(url: str) -> int:
    """What Valkey has been told so far, less the asking for it."""
    async with aclosing(redis.asyncio.Redis.from_url(url)) as client:
        counts = await client.info("commandstats")
    return sum(counts.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "del"))


async def test_a_healthy_provider_costs_one_question_a_second(make: Make, clock: Clock, redis_url: str) -> None:
    breaker = make()
    before = await commands(redis_url)
    for _ in range(50):
        assert await breaker.allows("openai")
        await breaker.succeeded("openai")
    assert await commands(redis_url) == before + 1
    clock.advance(FRESH)
    assert await breaker.allows("openai")
    assert await commands(redis_url) == before + 2


async def test_without_valkey_each_process_counts_alone(make: Make, clock: Clock, redis_url: str, log: Log) -> None:
    other = make()
    async with interruptible(redis_url) as (proxy, url):
        breaker = make(url)
        assert await breaker.allows("openai")
        proxy.interrupt()
        await fail(breaker)
        assert not await breaker.allows("openai")
        assert log.text.count("breaker is on its own") == 1
        assert await other.allows("openai")
        proxy.restore()
        clock.advance(REDIS_PAUSE)
        assert await breaker.allows("openai")
        await fail(other)
        clock.advance(FRESH)
        assert not await breaker.allows("openai")


async def test_a_valkey_that_never_answers_is_waited_for_once(make: Make) -> None:
    waited = []
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waited.append(writer)
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        breaker = make(f"redis://{host}:{port}/0")
        assert [await breaker.allows("openai") for _ in range(20)] == [True] * 20
        await fail(breaker)
        assert not await breaker.allows("openai")
        done.set()
    assert len(waited) == 1


async def test_what_it_keeps_in_valkey_ends_by_itself(make: Make, redis_url: str) -> None:
    await fail(make())
    async with aclosing(redis.asyncio.Redis.from_url(redis_url)) as client:
        keys = await client.keys("*")
        assert keys == [b"recado:breaker:openai"]
        assert 0 < await client.ttl(keys[0]) < 3600
