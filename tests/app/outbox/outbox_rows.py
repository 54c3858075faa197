"""Insert rows into the outbox, as a turn's commit does, and wait for their statuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.app.channels.scripted_twilio import ScriptedTwilio, scripted_twilio
from tests.platform import CONTACT, TENANT, Platform


async def conversation(platform: Platform, contact: str = CONTACT, slug: str = TENANT) -> UUID:
    """Return a new conversation on the tenant's first channel. The contact's other conversations are closed."""
    row = await platform.row(
        """with channel as (
               select ch.id, ch.tenant_id from channels ch join tenants t on t.id = ch.tenant_id
               where t.slug = %(slug)s order by ch.created_at limit 1
           ),
           contact as (
               insert into contacts (tenant_id, channel_id, address, last_inbound_at)
               select tenant_id, id, %(contact)s, %(now)s from channel
               on conflict (channel_id, address) do update set last_inbound_at = excluded.last_inbound_at
               returning id, tenant_id, channel_id
           )
           select id, tenant_id, channel_id from contact""",
        slug=slug,
        contact=contact,
        now=platform.clock(),
    )
    await platform.rows("update conversations set status = 'closed' where contact_id = %(id)s", id=row["id"])
    made = await platform.row(
        """insert into conversations (tenant_id, channel_id, contact_id)
           values (%(tenant_id)s, %(channel_id)s, %(id)s) returning id""",
        **row,
    )
    found: UUID = made["id"]
    return found


async def contact_of(platform: Platform, outbox_id: int) -> UUID:
    """Return the contact of a row."""
    found: UUID = (await row(platform, outbox_id))["contact_id"]
    return found


OPEN = ("queued", "sending", "retrying", "unknown")


async def queue(platform: Platform, conversation_id: UUID, *bodies: str, **columns: Any) -> list[int]:
    """Insert queued rows and return their ids, oldest first. `columns` replace values.

    The rows are five seconds old, so that a sweep takes them at once.
    """
    then = platform.clock() - timedelta(seconds=5)
    known: dict[str, Any] = {
        "status": "queued",
        "owner": None,
        "attempts": 0,
        "attempted_at": None,
        "parked_at": None,
        "provider_sid": None,
        "updated_at": then,
    }
    known["due_at"] = then if columns.get("status", "queued") in OPEN and "parked_at" not in columns else None
    assert columns.keys() <= known.keys(), columns
    made = []
    for body in bodies:
        row = await platform.row(
            """insert into outbox (
                   tenant_id, conversation_id, contact_id, turn, author, body, status, owner, attempts, attempted_at,
                   due_at, parked_at, provider_sid, created_at, updated_at
               )
               select tenant_id, id, contact_id, 1, 'assistant', %(body)s, %(status)s, %(owner)s, %(attempts)s,
                   %(attempted_at)s, %(due_at)s, %(parked_at)s, %(provider_sid)s, %(created_at)s, %(updated_at)s
               from conversations where id = %(conversation_id)s
               returning id""",
            conversation_id=conversation_id,
            body=body,
            created_at=then,
            **(known | columns),
        )
        made.append(int(row["id"]))
    return made


async def row(platform: Platform, outbox_id: int) -> dict[str, Any]:
    """Return a row of the outbox."""
    return await platform.row("select * from outbox where id = %(id)s", id=outbox_id)


async def statuses(platform: Platform, *outbox_ids: int) -> list[str]:
    """Return the statuses of the rows."""
    rows = await platform.rows("select id, status from outbox where id = any(%(ids)s)", ids=list(outbox_ids))
    found = {each["id"]: each["status"] for each in rows}
    return [found[outbox_id] for outbox_id in outbox_ids]


async def until(platform: Platform, outbox_id: int, *wanted: str, hurry: float = 0.0) -> dict[str, Any]:
    """Wait until a row has one of the statuses and no owner, and return it.

    The clock advances by `hurry` seconds with each poll, because a sweep takes a row only after a moment. The dates of
    the simulated Twilio do not advance. Do not use `hurry` where a later look-up must find a message by its date.
    """

    async def there() -> bool:
        platform.clock.advance(hurry)
        found = await row(platform, outbox_id)
        return found["status"] in wanted and found["owner"] is None

    await platform.until(there, f"row {outbox_id} to be {' or '.join(wanted)}")
    return await row(platform, outbox_id)


FAR = datetime.fromisoformat("2200-01-01T00:00:00+00:00")
"""A time that no sweep of these tests reaches."""


@asynccontextmanager
async def scripted_worker(platform: Platform, **changes: Any) -> AsyncIterator[ScriptedTwilio]:
    """Replace the platform's worker by one that posts to a scripted Twilio. `changes` replace settings."""
    assert platform.engine is not None
    await platform.engine.close()
    async with scripted_twilio() as twilio, platform.worker(twilio_api_url=twilio.address, **changes):
        yield twilio
