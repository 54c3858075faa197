"""Sum the usage ledger by hours, so that a tenant's tokens of a month are counted quickly."""

from datetime import datetime

from app.db import Transaction


async def sum_next_hour(tx: Transaction, now: datetime) -> bool:
    """Sum the next hour that is over for some hours. Return whether there was one.

    Rows of the ledger are written within minutes of the time that they name. The rest is for a Postgres whose clock was
    ahead before a failover. Rows of `copy_usage` are older: so long as it has some to copy, no hour is summed.
    Sums that no month's count needs are deleted.
    """
    row = await tx.one(
        dict,
        """with next as materialized (
               select until as begins, until + interval '1 hour' as ends from usage_summed
               where until + interval '4 hours' <= %(now)s and not exists (select from turns where epoch is null)
               for update
           ),
           summed as (
               insert into usage_hours (tenant_id, hour, tokens)
               select t.id, next.begins, used.tokens
               from next cross join tenants t cross join lateral (
                   select sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))::bigint as tokens
                   from usage_ledger l
                   where l.tenant_id = t.id and l.recorded_at >= next.begins and l.recorded_at < next.ends
               ) used
               where used.tokens > 0
               on conflict do nothing
           ),
           old as (
               delete from usage_hours h using next where h.hour < next.begins - interval '62 days'
           )
           update usage_summed set until = next.ends from next returning usage_summed.until""",
        {"now": now},
    )
    return row is not None
