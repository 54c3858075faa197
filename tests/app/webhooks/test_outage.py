"""Postgres away: nothing is acknowledged that is not stored, and Twilio gets an answer while it still listens."""

import asyncio
import uuid
from urllib.parse import urlsplit

from tests.interruptible_proxy import interruptible_postgres
from tests.platform import ACCOUNT_SID, NUMBER, TENANT, TOKEN, Log, Platform

TWILIO_WAITS = 15.0
"""Seconds until Twilio gives up on a webhook; it takes a late answer for none."""


async def answered(platform: Platform, at: str, parameters: list[tuple[str, str]], path: str) -> int:
    async with asyncio.timeout(TWILIO_WAITS):
        status, text = await platform.post(parameters, at=at, path=path)
    assert "psycopg" not in text
    assert "Traceback" not in text
    return status


async def test_without_postgres_twilio_gets_503_in_time(platform: Platform, log: Log) -> None:
    webhook, status = "/api/v1/twilio/webhook", "/api/v1/twilio/status?o=1"
    message = platform.webhook("oi")
    # A number that this API has not been asked about yet.
    first = platform.webhook("oi", To="whatsapp:+551140000002")
    callback = [("AccountSid", ACCOUNT_SID), ("From", NUMBER), ("MessageSid", f"SM{uuid.uuid4().hex}")]
    callback += [("MessageStatus", "sent")]
    await platform.add_channel(TENANT, "whatsapp:+551140000002")

    async def all_connections_are_gone() -> bool:
        return "postgres is away" in log.text

    async def later(at: str) -> int:
        await platform.until(all_connections_are_gone, "the API to notice")
        return await answered(platform, at, platform.webhook("oi"), webhook)

    async with interruptible_postgres(platform.settings) as (proxy, near), platform.api(**near) as at:
        assert await answered(platform, at, platform.webhook("antes"), webhook) == 200
        proxy.interrupt()
        log.clear()
        statuses = await asyncio.gather(
            answered(platform, at, message, webhook),
            answered(platform, at, first, webhook),
            answered(platform, at, callback, status),
            later(at),
            return_exceptions=True,
        )
        assert list(statuses) == [503, 503, 503, 503]
        stored = await platform.rows("select body from inbox")
        assert stored == [{"body": "antes"}]
        assert TOKEN not in log.text
        assert urlsplit(near["database_url"]).password not in (None, *log.text.split('"'))
        proxy.restore()

        async def is_back() -> bool:
            return await answered(platform, at, message, webhook) == 200

        await platform.until(is_back, "Postgres to be reached again")
        assert len(await platform.rows("select 1 from inbox where body = 'oi'")) == 1


async def test_a_broken_connection_is_replaced_before_anybody_notices(platform: Platform) -> None:
    async with interruptible_postgres(platform.settings) as (proxy, near), platform.api(**near) as at:
        await answered(platform, at, platform.webhook("um"), "/api/v1/twilio/webhook")
        proxy.interrupt()
        proxy.restore()
        assert await answered(platform, at, platform.webhook("dois"), "/api/v1/twilio/webhook") == 200
    rows = await platform.rows("select body from inbox order by id")
    assert [row["body"] for row in rows] == ["um", "dois"]
