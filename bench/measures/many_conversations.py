"""The CPU per reply in a tenant that has thousands of other conversations."""

from typing import LiteralString

from bench.load.bench_context import BenchContext
from bench.load.closed_loop import ClosedLoop
from bench.measures.cpu_per_reply import cpu_ms_per_reply, recado_cpu_ms
from bench.report import ReportRow, at_most

CONTACTS, ROUNDS = 8, 25

COPY_CONVERSATION: LiteralString = """
with source as (select * from conversations order by opened_at limit 1),
copies as (
    select md5('contact' || n)::uuid as contact_id, md5('conversation' || n)::uuid as id, n
    from generate_series(1, %(count)s) n
),
contacts_made as (
    insert into contacts (id, tenant_id, channel_id, address, last_inbound_at)
    select copies.contact_id, tenant_id, channel_id, 'whatsapp:+4400' || n, opened_at from source, copies
),
conversations_made as (
    insert into conversations (id, tenant_id, channel_id, contact_id, version_id, turn, opened_at)
    select copies.id, tenant_id, channel_id, copies.contact_id, version_id, turn, opened_at from source, copies
),
inbox_made as (
    insert into inbox (
        tenant_id, conversation_id, kind, account_sid, provider_sid, body, received_at, turn, disposition
    )
    select i.tenant_id, copies.id, i.kind, i.account_sid, 'copy' || i.id || '-' || n, i.body, i.received_at, i.turn,
        i.disposition
    from inbox i join source on source.id = i.conversation_id, copies
),
outbox_made as (
    insert into outbox (
        tenant_id, conversation_id, contact_id, turn, author, body, status, attempts, created_at, updated_at
    )
    select o.tenant_id, copies.id, copies.contact_id, o.turn, o.author, o.body, 'delivered', 1, o.created_at,
        o.updated_at
    from outbox o join source on source.id = o.conversation_id, copies
),
turns_made as (
    insert into turns (conversation_id, turn, tenant_id, attempts, claimed_at, finished_at)
    select copies.id, t.turn, t.tenant_id, t.attempts, t.claimed_at, t.finished_at
    from turns t join source on source.id = t.conversation_id, copies
),
checkpoints_made as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata, tenant_id)
    select copies.id::text, k.checkpoint_ns, k.checkpoint_id, k.checkpoint, k.metadata, k.tenant_id
    from checkpoints k join source on source.id::text = k.thread_id, copies
)
insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, tenant_id)
select copies.id::text, b.checkpoint_ns, b.channel, b.version, b.type, b.blob, b.tenant_id
from checkpoint_blobs b join source on source.id::text = b.thread_id, copies
"""
"""Copies one finished conversation, with all its rows. The copies have new contacts and new ids."""


async def many_conversations(context: BenchContext) -> list[ReportRow]:
    """Compare the CPU per reply before and after thousands of conversations were copied into the tenant."""
    await context.restart(workers=1)
    loop, copies = context.new_closed_loop(), context.size(20_000, 4_000)
    await loop.run_rounds(range(CONTACTS), 3)
    before = await _cpu_ms(context, loop)
    await context.storage.fetch_rows(COPY_CONVERSATION, count=copies)
    await context.storage.analyze()
    after = await _cpu_ms(context, loop)
    before_ms, after_ms = (cpu_ms["postgres"] + recado_cpu_ms(cpu_ms) for cpu_ms in (before, after))
    notes = (
        f"Recado and Postgres: {before_ms:.2f} and {after_ms:.2f} ms per reply; "
        f"Postgres alone: {before['postgres']:.2f} and {after['postgres']:.2f} ms"
    )
    name = f"CPU per reply, among {copies:,} other conversations / among {CONTACTS}"
    return [at_most(name, 1.2, after_ms / before_ms, "x", notes)]


async def _cpu_ms(context: BenchContext, loop: ClosedLoop) -> dict[str, float]:
    """Return the milliseconds of CPU per reply of each process. Without an embedded Postgres its part is 0."""
    before = context.stack.cpu_seconds()
    await loop.run_rounds(range(CONTACTS), ROUNDS)
    await context.wait_until_idle()
    return {"postgres": 0.0} | cpu_ms_per_reply(before, context.stack.cpu_seconds(), CONTACTS * ROUNDS)
