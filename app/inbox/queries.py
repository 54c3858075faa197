"""SQL of the inbox."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from app.channels.addresses import same_person
from app.channels.base import InboundMessage
from app.db import Transaction

# One statement, so one commit and one round trip. `fresh` is empty if the message is stored already: then nothing is
# written. If two copies arrive at once, the second waits for the contact's row, violates the inbox's unique key, and is
# rolled back. So `pending` counts stored rows only.
RECEIVE: LiteralString = """
with fresh as (
    select where not exists (
        select from inbox where account_sid = %(account_sid)s and provider_sid = %(provider_sid)s
    )
),
known as (
    -- A person is one contact, under the address that was first seen.
    select address from contacts where channel_id = %(channel_id)s and address = any(%(senders)s)
    order by last_inbound_at desc nulls last limit 1
),
contact as (
    insert into contacts as c (tenant_id, channel_id, address, profile_name, last_inbound_at)
    select %(tenant_id)s, %(channel_id)s, coalesce((select address from known), %(sender)s), %(profile_name)s, %(now)s
    from fresh
    on conflict (channel_id, address) do update
        set profile_name = coalesce(excluded.profile_name, c.profile_name), last_inbound_at = excluded.last_inbound_at
    returning c.id
),
current_version as (
    select v.id, v.debounce, v.debounce_cap
    from assistants a join assistant_versions v on v.id = a.version_id
    where a.tenant_id = %(tenant_id)s
),
conversation as (
    insert into conversations as c (
        tenant_id, channel_id, contact_id, version_id, debounce, debounce_cap, pending, pending_since, due_at, opened_at
    )
    select %(tenant_id)s, %(channel_id)s, contact.id, v.id, coalesce(v.debounce, '0'), coalesce(v.debounce_cap, '0'),
        1, %(now)s, %(now)s::timestamptz + coalesce(v.debounce, '0'), %(now)s
    from contact left join current_version v on true
    on conflict (contact_id) where status <> 'closed' do update set
        pending = c.pending + 1,
        pending_since = coalesce(c.pending_since, excluded.pending_since),
        due_at = least(
            %(now)s::timestamptz + c.debounce,
            coalesce(c.pending_since, excluded.pending_since) + c.debounce_cap
        )
    returning c.id, c.pending, c.due_at
),
received as (
    insert into inbox (tenant_id, conversation_id, kind, account_sid, provider_sid, body, payload, received_at)
    select %(tenant_id)s, id, 'message', %(account_sid)s, %(provider_sid)s, %(body)s, %(payload)s, %(now)s
    from conversation
)
select id as conversation_id, pending, due_at from conversation
"""


@dataclass(frozen=True)
class Received:
    """The conversation of a stored message, the number of its waiting rows, and when a turn may take them."""

    conversation_id: UUID
    pending: int
    due_at: datetime


async def receive(
    tx: Transaction, tenant_id: UUID, channel_id: UUID, message: InboundMessage, now: datetime
) -> Received | None:
    """Store a message.

    Return None when it is already stored. Raises UniqueViolation when a copy is stored at the same time.
    """
    return await tx.one(
        Received,
        RECEIVE,
        {
            "tenant_id": tenant_id,
            "channel_id": channel_id,
            "account_sid": message.account_sid,
            "provider_sid": message.provider_sid,
            "sender": message.sender,
            "senders": same_person(message.sender, message.wa_id),
            "profile_name": message.profile_name,
            "body": message.body,
            "payload": Jsonb(message.payload),
            "now": now,
        },
    )


async def add_decision(tx: Transaction, interrupt_id: str, decision: dict[str, Any], now: datetime) -> Received | None:
    """Store an operator's decision for the conversation of an open interrupt. Return None when it is not open."""
    return await tx.one(
        Received,
        # Locks the conversation before its interrupt, in the order of a turn's commit, so that they do not deadlock.
        """with target as (
               select c.id from conversations c join interrupts i on i.conversation_id = c.id
               where i.id = %(interrupt_id)s for update of c
           ),
           decided as (
               update interrupts i set decision = %(decision)s, decided_at = %(now)s
               from target
               where i.id = %(interrupt_id)s and i.conversation_id = target.id
                   and i.resolved_at is null and i.decision is null
               returning i.conversation_id, i.tenant_id
           ),
           conversation as (
               update conversations c set pending = c.pending + 1,
                   pending_since = coalesce(c.pending_since, %(now)s), due_at = %(now)s
               from decided where c.id = decided.conversation_id
               returning c.id, c.pending, c.due_at
           ),
           received as (
               insert into inbox (tenant_id, conversation_id, kind, payload, received_at)
               select tenant_id, conversation_id, 'decision',
                   jsonb_build_object('interrupt_id', %(interrupt_id)s::text) || %(decision)s, %(now)s
               from decided
           )
           select id as conversation_id, pending, due_at from conversation""",
        {"interrupt_id": interrupt_id, "decision": Jsonb(decision), "now": now},
    )


@dataclass(frozen=True)
class TimerFired:
    """A timer that became an inbox row."""

    tenant_id: UUID
    conversation_id: UUID


async def fire_timers(tx: Transaction, now: datetime, limit: int) -> list[TimerFired]:
    """Turn due timers into inbox rows. With several schedulers each timer still fires once."""
    return await tx.all(
        TimerFired,
        """with due as (
               select id, wake_for from conversations
               -- The turn for rows that wait sets the timer again, or removes it.
               where wake_at <= %(now)s and pending = 0
               order by wake_at limit %(limit)s for update skip locked
           ),
           fired as (
               update conversations c set wake_at = null, wake_for = null, pending = c.pending + 1,
                   pending_since = coalesce(c.pending_since, %(now)s), due_at = coalesce(c.due_at, %(now)s)
               from due where c.id = due.id
               returning c.id, c.tenant_id, due.wake_for
           ),
           received as (
               insert into inbox (tenant_id, conversation_id, kind, payload, received_at)
               select tenant_id, id, 'timer', jsonb_build_object('timer', wake_for), %(now)s from fired
           )
           select tenant_id, id as conversation_id from fired""",
        {"now": now, "limit": limit},
    )
