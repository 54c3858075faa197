"""SQL of suspended channels: the provider refuses their credentials, and nothing is sent until it takes them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from app.db import Transaction

PROBE_AFTER = (5.0, 15.0, 60.0, 300.0)
"""Seconds before a probe, by the refusals so far."""

CHECK_LEASE = timedelta(seconds=30)
"""The time after which another worker repeats a check, because the one that began it may have died."""

CHECKS_AT_ONCE = 10


@dataclass(frozen=True)
class ChannelCheck:
    """A channel to probe if it is suspended, and otherwise one whose held rows are released step by step."""

    id: UUID
    tenant_id: UUID
    suspended: bool
    refusals: int


def probe_at(now: datetime, refusals: int) -> datetime:
    """Return when to probe a channel after so many refusals."""
    return now + timedelta(seconds=PROBE_AFTER[min(refusals, len(PROBE_AFTER)) - 1])


async def suspend(tx: Transaction, channel_id: UUID, reason: str, now: datetime) -> bool:
    """Suspend a channel. Return False when it is suspended already."""
    row = await tx.one(
        dict,
        """update channels set suspended_at = %(now)s, suspended_for = %(reason)s, refusals = refusals + 1,
               check_at = %(now)s + (%(pauses)s::float8[])[least(refusals + 1, %(pause_count)s)] * interval '1 second'
           where id = %(id)s and suspended_at is null returning id""",
        {"id": channel_id, "reason": reason, "now": now, "pauses": list(PROBE_AFTER), "pause_count": len(PROBE_AFTER)},
    )
    return row is not None


async def resume(tx: Transaction, channel_id: UUID, now: datetime) -> None:
    """End a suspension. The rows that wait for the channel are released from `now` on."""
    await tx.run(
        """update channels set suspended_at = null, suspended_for = null, check_at = %(now)s
           where id = %(id)s and suspended_at is not null""",
        {"id": channel_id, "now": now},
    )


async def postpone_probe(tx: Transaction, channel_id: UUID, refusals: int, at: datetime) -> None:
    """Leave a channel suspended, and set its refusals and its next probe."""
    await tx.run(
        """update channels set refusals = %(refusals)s, check_at = %(at)s
           where id = %(id)s and suspended_at is not null""",
        {"id": channel_id, "refusals": refusals, "at": at},
    )


async def forget_refusals(tx: Transaction, channel_id: UUID) -> None:
    """Record that a message was sent, so that the next suspension begins with the shortest pause."""
    await tx.run("update channels set refusals = 0 where id = %(id)s and suspended_at is null", {"id": channel_id})


async def continue_release(tx: Transaction, channel_id: UUID, at: datetime | None) -> None:
    """Set when to release more rows of a channel that is not suspended. None: no row waits for it."""
    await tx.run(
        "update channels set check_at = %(at)s where id = %(id)s and suspended_at is null",
        {"id": channel_id, "at": at},
    )


CLAIM_CHECKS: LiteralString = """
with due as (
    select id from channels where check_at <= %(now)s order by check_at limit %(limit)s for update skip locked
)
update channels c set check_at = %(again)s from due where c.id = due.id
returning c.id, c.tenant_id, c.suspended_at is not null as suspended, c.refusals
"""


async def claim_checks(tx: Transaction, now: datetime) -> Sequence[ChannelCheck]:
    """Return the channels that are to be checked now. Other workers leave them alone for CHECK_LEASE."""
    return await tx.all(ChannelCheck, CLAIM_CHECKS, {"now": now, "again": now + CHECK_LEASE, "limit": CHECKS_AT_ONCE})
