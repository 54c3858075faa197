"""Track how much of its limits each tenant has used, and each of its contacts."""

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.db import Database, Transaction
from app.turns.claim import Claim
from graphs.config import Assistant
from tools.lru import LruCache

REFRESH_INTERVAL = 5.0
"""Seconds that a count is used. Until the next count a limit can be exceeded by what other workers answer."""
MAX_COUNTING_SHARE = 0.01
"""The share of time that counting may take. A tenant with millions of turns is counted less often."""

HOUR = timedelta(hours=1)
UNCOUNTED_SHARE = 0.05
"""The share of a contact's limit that one worker may answer before the contact's turns are counted in Postgres."""
MOST_CONTACTS = 100_000
"""The maximum number of contacts whose turns a worker remembers. A contact takes some 300 bytes."""


@dataclass
class TenantUsage:
    """Turns since the start of the day, and tokens since the start of the month, in the tenant's time zone."""

    turns: int
    tokens: int


class LimitTracker:
    """Knows which tenants have reached a limit. Counts the turns of all workers in Postgres, and caches the counts."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._cache: dict[UUID, tuple[datetime, TenantUsage]] = {}
        self._refreshing: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        # When the hour of a contact began here, and its turns since then.
        self._recent: LruCache[UUID, tuple[datetime, int]] = LruCache(MOST_CONTACTS)

    async def reached_limit(self, claim: Claim, assistant: Assistant, now: datetime) -> str | None:
        """Return the limit that is reached, in words, or None when one more turn may run. Counts that turn."""
        of_contact = await self._limit_of_contact(claim, assistant.limits.contact_turns_per_hour, now)
        return of_contact or await self._limit_of_tenant(claim.tenant_id, assistant, now)

    async def _limit_of_contact(self, claim: Claim, most: int, now: datetime) -> str | None:
        since, turns = self._recent.get(claim.contact_id) or (now, 0)
        if now - since > HOUR:
            since, turns = now, 0
        self._recent.put(claim.contact_id, (since, turns + 1))
        # Other workers may have run the rest. Contacts with few turns here are not counted in Postgres.
        if turns + 1 <= most * UNCOUNTED_SHARE:
            return None
        async with self._db.statement(claim.tenant_id) as tx:
            counted = await count_contact_turns(tx, claim.contact_id, now - HOUR, most)
        return f"limit reached: {most} turns of one contact in an hour" if counted >= most else None

    async def _limit_of_tenant(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> str | None:
        limits = assistant.limits
        if limits.turns_per_day is None and limits.model_tokens_per_month is None:
            return None
        usage = await self._usage(tenant_id, assistant, now)
        if limits.turns_per_day is not None and usage.turns >= limits.turns_per_day:
            return f"limit reached: {limits.turns_per_day} turns a day"
        if limits.model_tokens_per_month is not None and usage.tokens >= limits.model_tokens_per_month:
            return f"limit reached: {limits.model_tokens_per_month} model tokens a month"
        usage.turns += 1
        return None

    async def _usage(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> TenantUsage:
        # While one turn counts, the others use the outdated count instead of waiting.
        usage = self._cached(tenant_id, now, allow_stale=self._refreshing[tenant_id].locked())
        if usage is not None:
            return usage
        async with self._refreshing[tenant_id]:
            usage = self._cached(tenant_id, now)
            if usage is None:
                usage = await self._refresh(tenant_id, assistant, now)
            return usage

    def _cached(self, tenant_id: UUID, now: datetime, *, allow_stale: bool = False) -> TenantUsage | None:
        valid_until, usage = self._cache.get(tenant_id, (now, None))
        return usage if now < valid_until or allow_stale else None

    async def _refresh(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> TenantUsage:
        day = now.astimezone(assistant.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
        month = None if assistant.limits.model_tokens_per_month is None else day.replace(day=1)
        started = time.perf_counter()
        async with self._db.statement(tenant_id) as tx:
            usage = await count_usage(tx, day, month)
        counting = time.perf_counter() - started
        # Jitter, so that tenants which were counted together are not counted together again.
        wait = max(REFRESH_INTERVAL, counting / MAX_COUNTING_SHARE) * random.uniform(1, 1.5)
        self._cache[tenant_id] = min(now + timedelta(seconds=wait), day + timedelta(days=1)), usage
        return usage


async def count_usage(tx: Transaction, day: datetime, month: datetime | None) -> TenantUsage:
    """Count the tenant's turns that finished since `day`, and the model tokens used since `month`, if given."""
    usage = await tx.one(
        TenantUsage,
        """with summed as (
               select until, least(
                   until, date_trunc('hour', %(month)s::timestamptz + interval '59:59.999999', 'UTC')
               ) as hour
               from usage_summed
           )
           select
               (select count(*) from turns where finished_at >= %(day)s) as turns,
               (
                   select coalesce(sum(tokens), 0) from (
                       select tokens from usage_hours where hour >= (select hour from summed)
                       union all
                       -- A month begins within an hour where the time zone is off by half an hour.
                       select coalesce(input_tokens, 0) + coalesce(output_tokens, 0) from usage_ledger
                       where recorded_at >= %(month)s and recorded_at < (select hour from summed)
                       union all
                       select coalesce(input_tokens, 0) + coalesce(output_tokens, 0) from usage_ledger
                       where recorded_at >= greatest(%(month)s, (select until from summed))
                       union all
                       -- Turns of code without the ledger that are not yet copied into it.
                       select coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0)
                       from turns cross join lateral usage_calls(usage) c
                       where epoch is null and finished_at >= %(month)s
                   ) used
                   where %(month)s::timestamptz is not null
               )::bigint as tokens""",
        {"day": day, "month": month},
    )
    assert usage is not None
    return usage


@dataclass(frozen=True)
class _Counted:
    turns: int


async def count_contact_turns(tx: Transaction, contact_id: UUID, since: datetime, most: int) -> int:
    """Count the contact's turns that finished since then, up to `most` of each of its conversations."""
    counted = await tx.one(
        _Counted,
        """select count(*) filter (where latest.finished_at >= %(since)s) as turns
           from conversations c cross join lateral (
               select finished_at from turns where conversation_id = c.id order by turn desc limit %(most)s
           ) latest
           where c.contact_id = %(contact_id)s and (c.closed_at is null or c.closed_at >= %(since)s)""",
        {"contact_id": contact_id, "since": since, "most": most},
    )
    return 0 if counted is None else counted.turns
