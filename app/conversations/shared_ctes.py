"""The CTEs that insert outbox rows, and insert and resolve interrupts. Turns and operators' commands share them.

No other statement does this.

Each part follows a part named `fenced`, which holds the conversation's row lock and returns its id, tenant_id,
contact_id and turn. Without a row of `fenced` nothing is written.
"""

from typing import LiteralString

# At `owner_check` a sweep looks whether the owner of the claimed row lives, at `head_check` whether a queued row was
# forgotten.
SPOKEN: LiteralString = """
spoken as (
    insert into outbox (
        tenant_id, conversation_id, contact_id, turn, author, body, status, owner, attempts, attempted_at, due_at,
        created_at, updated_at
    )
    select fenced.tenant_id, fenced.id, fenced.contact_id, fenced.turn, r.author, r.body,
        case when r.number = 1 and head.free then 'sending' else 'queued' end,
        case when r.number = 1 and head.free then %(owner)s::bigint end,
        case when r.number = 1 and head.free then 1 else 0 end,
        case when r.number = 1 and head.free then %(now)s::timestamptz end,
        case when r.number = 1 and head.free then %(owner_check)s else %(head_check)s end,
        %(now)s, %(now)s
    from fenced
    -- The first reply of a worker is inserted as claimed by it, unless an older row of the contact is open.
    cross join lateral (
        select not exists (
            select from outbox o
            where o.contact_id = fenced.contact_id and (o.due_at is not null or o.held_for is not null)
        ) and %(owner)s::bigint is not null as free
    ) head
    cross join lateral unnest(%(authors)s::text[], %(bodies)s::text[]) with ordinality r (author, body, number)
    order by r.number
    returning id, status
)
"""

# Resolves the interrupts in `resolved_ids`, which a turn's claim has read. With null: all open ones.
RESOLVED: LiteralString = """
resolved as (
    update interrupts set resolved_at = %(now)s
    from fenced
    where interrupts.conversation_id = fenced.id and interrupts.resolved_at is null
        and (%(resolved_ids)s::text[] is null or interrupts.id = any(%(resolved_ids)s::text[]))
)
"""

ASKED: LiteralString = """
asked as (
    insert into interrupts (id, tenant_id, conversation_id, turn, kind, payload, created_at, due_at)
    select i.id, fenced.tenant_id, fenced.id, fenced.turn, i.kind, i.payload, %(now)s, i.due_at
    from fenced, unnest(
        %(interrupt_ids)s::text[], %(interrupt_kinds)s::text[], %(interrupt_payloads)s::jsonb[],
        %(interrupt_dues)s::timestamptz[]
    ) i (id, kind, payload, due_at)
)
"""
