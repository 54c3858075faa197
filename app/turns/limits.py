"""How much of its limits a tenant has used up."""

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.db import Database, Transaction
from graphs.config import Assistant

LOOK_AGAIN_AFTER = 5.0
"""Seconds: a limit may be passed by what is answered until then."""
SHARE = 0.01
"""Of the time that may go into looking: a tenant with millions of turns is looked at more seldom."""


@dataclass
class Spent:
    """Since the day, and the month, began in the tenant's time zone."""

    turns: int
    tokens: int


class LimitTracker:
    """Knows which tenants have reached a limit. What every worker has spent is counted where it is recorded."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[UUID, tuple[datetime, Spent]] = {}
        self._looking: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def limit(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> str | None:
        """The limit that is reached, in words; None when there is none, or room for one more turn."""
        limits = assistant.limits
        if limits.turns_per_day is None and limits.model_tokens_per_month is None:
            return None
        spent = await self._spent(tenant_id, assistant, now)
        if limits.turns_per_day is not None and spent.turns >= limits.turns_per_day:
            return f"limit reached: {limits.turns_per_day} turns a day"
        if limits.model_tokens_per_month is not None and spent.tokens >= limits.model_tokens_per_month:
            return f"limit reached: {limits.model_tokens_per_month} model tokens a month"
        spent.turns += 1
        return None

    async def _spent(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> Spent:
        spent = self._last(tenant_id, now, stale=self._looking[tenant_id].locked())
        if spent is not None:
            return spent
        async with self._looking[tenant_id]:
            spent = self._last(tenant_id, now)
            if spent is None:
                spent = await self._look(tenant_id, assistant, now)
            return spent

    def _last(self, tenant_id: UUID, now: datetime, *, stale: bool = False) -> Spent | None:
        """What was seen last. While somebody looks again, it may be `stale`: turns do not wait for that."""
        valid_until, spent = self._known.get(tenant_id, (now, None))
        return spent if now < valid_until or stale else None

    async def _look(self, tenant_id: UUID, assistant: Assistant, now: datetime) -> Spent:
        day = now.astimezone(assistant.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
        since = day if assistant.limits.model_tokens_per_month is None else day.replace(day=1)
        began = time.perf_counter()
        async with self._db.statement(tenant_id) as tx:
            spent = await _count(tx, day, since)
        # Not all tenants at the same time.
        wait = max(LOOK_AGAIN_AFTER, (time.perf_counter() - began) / SHARE) * random.uniform(1, 1.5)
        self._known[tenant_id] = min(now + timedelta(seconds=wait), day + timedelta(days=1)), spent
        return spent


async def _count(tx: Transaction, day: datetime, since: datetime) -> Spent:
    found = await tx.one(
        Spent,
        """select count(*) filter (where finished_at >= %(day)s) as turns, coalesce(sum(tokens), 0)::bigint as tokens
           from turns cross join lateral (
               select sum(
                   coalesce((call->>'input_tokens')::bigint, 0) + coalesce((call->>'output_tokens')::bigint, 0)
               ) as tokens
               from jsonb_array_elements(usage) call
           ) used
           where finished_at >= %(since)s""",
        {"day": day, "since": since},
    )
    assert found is not None
    return found
