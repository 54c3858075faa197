"""A sweep costs what is due: not what waits for its time, for its channel, or for a row before it."""

from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from app.outbox.queries import SWEEP
from tests.app.outbox import outbox_rows as rows
from tests.platform import Platform

# One contact and one row each: waiting for their time, for a channel, or final.
FILL: LiteralString = """
with channel as (select id, tenant_id from channels limit 1),
people as (
    insert into contacts (tenant_id, channel_id, address, last_inbound_at)
    select tenant_id, id, 'whatsapp:+5511' || n, now() from channel, generate_series(1, %(count)s) n
    returning id, tenant_id, channel_id
),
talks as (
    insert into conversations (tenant_id, channel_id, contact_id, status)
    select tenant_id, channel_id, id, 'closed' from people
    returning id, tenant_id, contact_id, channel_id
)
insert into outbox (
    tenant_id, conversation_id, contact_id, turn, author, body, status, due_at, held_for, created_at, updated_at
)
select tenant_id, id, contact_id, 1, 'assistant', 'oi', kind.status,
    case when kind.number = 1 then now() + interval '1 day' end, case when kind.number = 2 then channel_id end,
    now() - interval '1 hour', now() - interval '1 hour'
from talks, (values (1, 'retrying'), (2, 'retrying'), (3, 'read')) kind (number, status)
"""


@pytest.fixture
async def filled(platform: Platform) -> Platform:
    """Many rows, none of them due."""
    assert platform.engine is not None
    await platform.engine.close()
    with psycopg.connect(platform.urls.owner, autocommit=True) as owner:
        owner.execute(FILL, {"count": 20_000})
        owner.execute("analyze outbox")
    return platform


async def explained(platform: Platform) -> dict[str, Any]:
    """Return the plan of a sweep, as it was executed."""
    now = platform.clock()
    parameters = {"now": now, "owner": 1, "stale": now, "lost": now, "turns": [], "drains": [], "limit": 200}
    row = await platform.row("explain (analyze, buffers, format json) " + SWEEP, **parameters)
    plan: dict[str, Any] = row["QUERY PLAN"][0]["Plan"]
    return plan


async def test_a_sweep_reads_nothing_of_what_is_not_due(filled: Platform) -> None:
    plan = await explained(filled)
    assert "outbox_due" in str(plan)
    assert "Seq Scan" not in [node["Node Type"] for node in plan["Plans"]]
    assert plan["Actual Rows"] == 0
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20


async def test_a_row_behind_one_that_waits_is_not_found_again(platform: Platform) -> None:
    conversation = await rows.conversation(platform)
    later = platform.clock() + timedelta(hours=1)
    (head,) = await rows.queue(platform, conversation, "um", status="retrying", attempts=1, due_at=later)
    made = await rows.queue(platform, conversation, "dois", "três")

    async def postponed() -> bool:
        return all([(await rows.row(platform, outbox_id))["due_at"] == later for outbox_id in made])

    await platform.until(postponed, "the rows behind to be due with the first")
    assert await rows.statuses(platform, head, *made) == ["retrying", "queued", "queued"]
