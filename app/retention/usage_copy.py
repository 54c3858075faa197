"""Copy the model calls that code without the usage ledger has listed in JSON."""

from app.db import Transaction


async def copy_usage(tx: Transaction, limit: int) -> int:
    """Copy the calls that finished turns list in JSON into the ledger. Return the number of turns, `limit` at most."""
    rows = await tx.all(
        dict,
        """with listed as (
               select conversation_id, turn, tenant_id, usage, finished_at from turns
               where epoch is null order by tenant_id, finished_at limit %(limit)s for update skip locked
           ),
           copied as (
               insert into usage_ledger (
                   conversation_id, turn, epoch, number, tenant_id, agent, model, input_tokens, output_tokens, cost,
                   currency, recorded_at
               )
               select l.conversation_id, l.turn, 0, c.number, l.tenant_id, c.agent, c.model, c.input_tokens,
                   c.output_tokens, c.cost, c.currency, l.finished_at
               from listed l cross join lateral usage_calls(l.usage) c
               on conflict do nothing
           )
           update turns t set epoch = 0 from listed l
           where t.conversation_id = l.conversation_id and t.turn = l.turn
           returning t.turn""",
        {"limit": limit},
    )
    return len(rows)
