"""A month's tokens are the same, whether hours are summed or not."""

from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from app.db import app_database
from app.retention import service as retention
from app.retention.usage_hours import sum_next_hour
from app.turns.limits import count_usage
from tests.app.turns.drivers import ask
from tests.platform import TENANT, Platform

HOUR = timedelta(hours=1)
SUMMED = 3 * 24 + 1
"""The hours that are over when the test begins, with one before the first call."""
NOT_YET = (3, 4)
"""The last of them that are not summed yet."""
ADD = """
    insert into usage_ledger (conversation_id, turn, epoch, number, tenant_id, model, input_tokens, output_tokens,
        recorded_at)
    select gen_random_uuid(), 1, 1, 1, t.id, 'm', 100, 10, %(since)s + n * interval '20 minutes'
    from tenants t, generate_series(0, 215) n
"""
"""Three calls an hour for three days, of every tenant."""


@pytest.fixture
async def began(platform: Platform) -> datetime:
    """The beginning of three days of calls, which nobody has summed. It is a full hour."""
    await platform.republish("idle: 23h", "idle: 23h", slug="vizinha")
    since = platform.clock().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    await platform.rows(ADD, since=since)
    with psycopg.connect(platform.urls.owner) as owner:
        owner.execute("insert into usage_summed (until) values (%s)", [since - HOUR])
    return since


async def tokens(platform: Platform, since: datetime) -> int:
    tenant: UUID = (await platform.row("select tenant_id as id from channels"))["id"]
    async with app_database(platform.settings, size=1) as db, db.statement(tenant) as tx:
        return (await count_usage(tx, since, since)).tokens


async def sum_hours(platform: Platform, most: int = 1000) -> int:
    """Sum hours until no more are over, and return their number."""
    async with platform.system.statement() as tx:
        for number in range(most):
            if not await sum_next_hour(tx, platform.clock()):
                return number
    return most


@pytest.mark.parametrize("minutes", [0, 1, 30, 59])
@pytest.mark.parametrize("hours", [0, 1, 30, 1000])
async def test_sums_count_like_the_ledger(platform: Platform, began: datetime, hours: int, minutes: int) -> None:
    since = began + timedelta(hours=5, minutes=minutes)
    counted = await tokens(platform, since)
    assert 0 < counted < await tokens(platform, began)
    assert await sum_hours(platform, hours) in (hours, *(SUMMED - number for number in NOT_YET))
    assert await tokens(platform, since) == counted


async def test_the_ledger_is_not_read_where_there_are_sums(platform: Platform, began: datetime) -> None:
    since = began + timedelta(hours=5)
    counted = await tokens(platform, since)
    await sum_hours(platform)
    await platform.rows("delete from usage_ledger where recorded_at < (select until from usage_summed)")
    assert await tokens(platform, since) == counted


async def test_an_hour_is_summed_when_it_is_long_over(platform: Platform, began: datetime) -> None:
    await sum_hours(platform)
    summed = (await platform.row("select until from usage_summed"))["until"]
    assert platform.clock() - summed < 4 * HOUR
    platform.clock.advance((summed + timedelta(hours=3, minutes=59) - platform.clock()).total_seconds())
    assert await sum_hours(platform) == 0
    platform.clock.advance(61)
    assert await sum_hours(platform) == 1


async def test_no_hour_is_summed_before_old_turns_are_copied(platform: Platform, began: datetime) -> None:
    await ask(platform, "oi")
    await platform.rows("update turns set epoch = null")
    assert await sum_hours(platform) == 0
    await platform.rows("update turns set epoch = 0")
    assert await sum_hours(platform) > 60


async def test_old_sums_are_deleted(platform: Platform, began: datetime) -> None:
    await sum_hours(platform)
    before = len(await platform.rows("select 1 from usage_hours"))
    await platform.rows("update usage_hours set hour = hour - interval '70 days'")
    platform.clock.advance(2 * 3600)
    assert await sum_hours(platform) == 2
    assert len(await platform.rows("select 1 from usage_hours")) < before


async def test_what_is_not_summed_is_not_erased(platform: Platform, began: datetime) -> None:
    await retention.set_retention(platform.system, TENANT, "usage", 1)
    counted = await tokens(platform, began)
    await retention.keep_up(platform.system, platform.clock())
    assert await tokens(platform, began) == counted
    for _ in range(100):
        await retention.keep_up(platform.system, platform.clock())
    assert await tokens(platform, began) == counted
    assert len(await platform.rows("select 1 from usage_ledger")) < 2 * 216
