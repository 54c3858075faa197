"""What a turn costs in a tenant with many other conversations: it must not know of them."""

from typing import LiteralString

from bench.load.closed_loop import Talk
from bench.load.context import Lab
from bench.measures.replies import ours, per_reply
from bench.report import Row, at_most

CONTACTS, ROUNDS = 8, 25

# Copies of one conversation that has had its turn, with all that it has left in the tables.
CROWD: LiteralString = """
with model as (select * from conversations order by opened_at limit 1),
copies as (
    select md5('contact' || n)::uuid as contact_id, md5('conversation' || n)::uuid as id, n
    from generate_series(1, %(count)s) n
),
contacts_made as (
    insert into contacts (id, tenant_id, channel_id, address, last_inbound_at)
    select copies.contact_id, tenant_id, channel_id, 'whatsapp:+4400' || n, opened_at from model, copies
),
conversations_made as (
    insert into conversations (id, tenant_id, channel_id, contact_id, version_id, turn, opened_at)
    select copies.id, tenant_id, channel_id, copies.contact_id, version_id, turn, opened_at from model, copies
),
inbox_made as (
    insert into inbox (
        tenant_id, conversation_id, kind, account_sid, provider_sid, body, received_at, turn, disposition
    )
    select i.tenant_id, copies.id, i.kind, i.account_sid, 'copy' || i.id || '-' || n, i.body, i.received_at, i.turn,
        i.disposition
    from inbox i join model on model.id = i.conversation_id, copies
),
outbox_made as (
    insert into outbox (
        tenant_id, conversation_id, contact_id, turn, author, body, status, attempts, created_at, updated_at
    )
    select o.tenant_id, copies.id, copies.contact_id, o.turn, o.author, o.body, 'delivered', 1, o.created_at,
        o.updated_at
    from outbox o join model on model.id = o.conversation_id, copies
),
turns_made as (
    insert into turns (conversation_id, turn, tenant_id, attempts, claimed_at, finished_at)
    select copies.id, t.turn, t.tenant_id, t.attempts, t.claimed_at, t.finished_at
    from turns t join model on model.id = t.conversation_id, copies
),
checkpoints_made as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata, tenant_id)
    select copies.id::text, k.checkpoint_ns, k.checkpoint_id, k.checkpoint, k.metadata, k.tenant_id
    from checkpoints k join model on model.id::text = k.thread_id, copies
)
insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, tenant_id)
select copies.id::text, b.checkpoint_ns, b.channel, b.version, b.type, b.blob, b.tenant_id
from checkpoint_blobs b join model on model.id::text = b.thread_id, copies
"""


async def crowd(lab: Lab) -> list[Row]:
    """The same few contacts, alone and among thousands."""
    await lab.ready(workers=1)
    talk, count = lab.talk(), lab.scaled(20_000, 4_000)
    await talk.rounds(range(CONTACTS), 3)
    alone = await _cost(lab, talk)
    await lab.store.rows(CROWD, count=count)
    await lab.store.analyze()
    among = await _cost(lab, talk)
    before, after = (cost["postgres"] + ours(cost) for cost in (alone, among))
    notes = (
        f"{before:.2f} and {after:.2f} ms of CPU, of these "
        f"Postgres {alone['postgres']:.2f} and {among['postgres']:.2f} ms"
    )
    what = f"a turn among {count:,} other conversations, against few"
    return [at_most(what, 1.2, after / before, "x", notes)]


async def _cost(lab: Lab, talk: Talk) -> dict[str, float]:
    before = lab.system.cpu()
    await talk.rounds(range(CONTACTS), ROUNDS)
    await lab.calm()
    return {"postgres": 0.0} | per_reply(before, lab.system.cpu(), CONTACTS * ROUNDS)
