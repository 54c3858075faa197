"""The nudge: ids through Redis to a worker, and never anything that would be missed."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import redis

from app import broker
from app.broker import Nudge, Nudger
from tests.app.queue_consumer import fed_by_the_queue
from tests.interruptible_proxy import interruptible
from tests.platform import ACCOUNT_SID, CONTACT, TOKEN, Log, Platform

TENANT, CONVERSATION = uuid.uuid4(), uuid.uuid4()


@contextmanager
def nudger(url: str) -> Iterator[Nudger]:
    queue = broker.make_broker(url)
    made = Nudger(queue)
    made.start()
    yield made
    made.close()
    queue.client.connection_pool.disconnect()


def stored(url: str) -> dict[str, Any]:
    """Everything that Redis holds, as text."""
    with redis.Redis.from_url(url) as client:
        found: dict[str, Any] = {}
        for key in client.scan_iter():
            kind = client.type(key)
            read = {b"list": lambda k: client.lrange(k, 0, -1), b"hash": client.hgetall, b"zset": client.zscan}
            found[key.decode()] = repr(read[kind](key)) if kind in read else kind.decode()
        return found


async def test_a_nudge_brings_a_worker_that_does_not_sweep(platform: Platform) -> None:
    async with fed_by_the_queue(platform):
        await platform.say("oi")
        assert await platform.replies(1) == ["eco: oi"]
        await platform.say("de novo")
        assert await platform.replies(2) == ["eco: oi", "eco: de novo"]


async def waits_in_redis(platform: Platform) -> bool:
    with redis.Redis.from_url(platform.settings.redis_url) as client:
        return bool(client.info("clients")["blocked_clients"])


async def test_an_idle_worker_waits_in_redis(platform: Platform) -> None:
    async with fed_by_the_queue(platform):
        await platform.until(lambda: waits_in_redis(platform), "the consumer to wait")
        with redis.Redis.from_url(platform.settings.redis_url) as client:
            client.flushall()
        await platform.say("oi")
        assert await platform.replies(1) == ["eco: oi"]
        await platform.until(lambda: waits_in_redis(platform), "the consumer to wait")
        with redis.Redis.from_url(platform.settings.redis_url) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await platform.say("de novo")
        assert await platform.replies(2) == ["eco: oi", "eco: de novo"]


async def test_where_redis_lets_nobody_wait_it_is_polled(platform: Platform, log: Log) -> None:
    with redis.Redis.from_url(platform.settings.redis_url) as client:
        client.acl_setuser("poller", enabled=True, passwords=["+geheim"], keys=["*"], commands=["+@all", "-blmove"])
        parts = urlsplit(platform.settings.redis_url)
        url = parts._replace(netloc=f"poller:geheim@{parts.hostname}:{parts.port}").geturl()
        async with fed_by_the_queue(replace(platform, settings=replace(platform.settings, redis_url=url))):
            await platform.say("oi")
            assert await platform.replies(1) == ["eco: oi"]
        client.acl_deluser("poller")
    assert [line["error"] for line in log.lines if line["event"] == "queue is polled"] == ["NoPermissionError"]


def test_a_consumer_takes_no_more_than_it_may(redis_url: str) -> None:
    queue = broker.make_broker(redis_url)
    for _ in range(2):
        queue.enqueue(broker.message([Nudge(TENANT, CONVERSATION, 0.0)]))
    consumer = queue.consume(broker.TURNS, prefetch=1)
    first = next(consumer)
    assert first is not None
    assert next(consumer) is None
    consumer.ack(first)
    assert next(consumer) is not None
    queue.client.connection_pool.disconnect()


async def test_a_nudge_that_comes_early_is_kept_until_it_is_time(platform: Platform) -> None:
    await platform.republish("lifecycle:\n", "lifecycle:\n  debounce: 400ms\n")
    async with fed_by_the_queue(platform):
        for body in ("um", "dois", "três"):
            await platform.say(body)
        assert await platform.replies(1) == ["eco: um\ndois\ntrês"]


async def test_an_unreadable_message_is_dropped(platform: Platform) -> None:
    poison: dramatiq.Message[None] = dramatiq.Message(
        queue_name=broker.TURNS, actor_name=broker.RUN_TURNS, args=("no", "ids", "at all"), kwargs={}, options={}
    )
    async with fed_by_the_queue(platform):
        queue = broker.make_broker(platform.settings.redis_url)
        queue.enqueue(poison)
        queue.client.connection_pool.disconnect()
        await platform.say("oi")
        assert await platform.replies(1) == ["eco: oi"]

        async def nothing_left() -> bool:
            return not any("ids" in text for text in stored(platform.settings.redis_url).values())

        await platform.until(nothing_left, "the poison to be gone")


async def test_redis_holds_ids_and_no_words(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    await platform.say("um segredo")
    url = platform.settings.redis_url

    async def nudged() -> bool:
        return bool(stored(url))

    await platform.until(nudged, "the nudge")
    held = repr(stored(url))
    conversation = await platform.row("select id, tenant_id from conversations")
    assert str(conversation["id"]) in held
    assert str(conversation["tenant_id"]) in held
    for secret in ("segredo", CONTACT, TOKEN, ACCOUNT_SID, "Ana"):
        assert secret not in held


async def test_only_the_first_waiting_message_nudges(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    for _ in range(5):
        await platform.say("oi")
    url = platform.settings.redis_url

    async def nudged() -> bool:
        return "recado:turns" in stored(url)

    await platform.until(nudged, "the nudge")
    # A second contact's nudge comes through the same thread, so those of the first have come before it.
    await platform.say("oi", contact="whatsapp:+5511990000002")
    first, second = [str(row["id"]) for row in await platform.rows("select id from conversations order by opened_at")]

    async def both() -> bool:
        return second in repr(stored(url))

    await platform.until(both, "the second contact's nudge")
    assert repr(stored(url)).count(first) == 1


async def test_nudges_go_on_when_redis_comes_back(redis_url: str, log: Log) -> None:
    async with interruptible(redis_url) as (proxy, url):
        proxy.interrupt()
        with nudger(url) as sender:
            sender.send(Nudge(TENANT, CONVERSATION, 0.0))
            await _until(lambda: any(line["event"] == "nudge lost" for line in log.lines))
            proxy.restore()
            sender.send(Nudge(TENANT, CONVERSATION, 1.0))
            await _until(lambda: str(CONVERSATION) in repr(stored(redis_url)))
    assert str(CONVERSATION) not in log.text
    assert "@" not in log.text, "an address with its password"


async def _until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def test_what_waits_at_the_end_is_sent(redis_url: str) -> None:
    sent = [uuid.uuid4() for _ in range(200)]
    with nudger(redis_url) as sender:
        for conversation in sent:
            sender.send(Nudge(TENANT, conversation, 0.0))
    held = repr(stored(redis_url))
    assert all(str(conversation) in held for conversation in sent)


def test_nudges_that_follow_each_other_closely_travel_together(redis_url: str) -> None:
    queue = broker.make_broker(redis_url)
    sender = Nudger(queue)
    for _ in range(Nudger.TOGETHER * 2 + 1):
        sender.send(Nudge(TENANT, CONVERSATION, 0.0))
    sender.start()
    sender.close()
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("recado:turns") == 3
    queue.client.connection_pool.disconnect()


def test_more_nudges_than_fit_are_dropped_and_nobody_waits(log: Log) -> None:
    full = Nudger(broker.make_broker("redis://127.0.0.1:1/0"))
    nudge = Nudge(TENANT, CONVERSATION, 0.0)
    for _ in range(Nudger.CAPACITY + 2):
        full.send(nudge)
    assert [line["event"] for line in log.lines] == ["nudge dropped"] * 2
