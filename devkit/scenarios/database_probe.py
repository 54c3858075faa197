"""Read a scenario's database directly: the work that is due, and the results of the work that is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Database


@dataclass(frozen=True)
class DueWork:
    """The work that the database holds.

    `busy` is true when a row is due or a worker owns one. `next_due` is when the next row is due, and `next_timer` when
    the next timer fires.
    """

    busy: bool
    next_due: datetime | None
    next_timer: datetime | None


@dataclass(frozen=True)
class PendingConversation:
    """A conversation with waiting rows in its inbox."""

    tenant_id: UUID
    id: UUID
    due_at: datetime


@dataclass(frozen=True)
class ConversationSnapshot:
    """The status of a conversation, the agent of its last turn, and the payload of its open interrupt."""

    status: str
    agent: str | None
    interrupt: Mapping[str, Any] | None


class DatabaseProbe:
    """Queries of a scenario that bypass the product."""

    def __init__(self, system: Database) -> None:
        self._system = system

    async def due_work(self, now: datetime) -> DueWork:
        """Return what is due at `now`, and when the next work is due."""
        async with self._system.statement() as tx:
            found = await tx.one(
                DueWork,
                """with open_rows as (
                       select due_at, owner is not null or status = 'queued' as busy from outbox
                       where due_at is not null
                   )
                   select
                       exists (
                           select from conversations where owner is not null or (pending > 0 and due_at <= %(now)s)
                       ) or exists (
                           select from open_rows where busy or due_at <= %(now)s
                       ) as busy,
                       least(
                           (select min(due_at) from conversations where pending > 0 and due_at > %(now)s),
                           (select min(due_at) from open_rows where not busy and due_at > %(now)s)
                       ) as next_due,
                       (select min(wake_at) from conversations where pending = 0) as next_timer""",
                {"now": now},
            )
        assert found is not None, "the query always returns a row"
        return found

    async def pending_conversations(self) -> list[PendingConversation]:
        """Return the conversations that a worker must be nudged about."""
        async with self._system.statement() as tx:
            return await tx.all(
                PendingConversation,
                "select tenant_id, id, due_at from conversations where pending > 0 and due_at is not null",
                {},
            )

    async def wait_until_no_worker_is_alive(self) -> None:
        """Wait until Postgres has released the locks of all workers. No virtual time passes."""
        async with self._system.statement() as tx:
            while await tx.one(dict, "select id from live_workers limit 1", {}):
                await tx.run("select pg_sleep(0.001)", {})

    async def conversation(self) -> ConversationSnapshot | None:
        """Return the contact's newest conversation, or None if there is none."""
        async with self._system.statement() as tx:
            return await tx.one(
                ConversationSnapshot,
                """select c.status,
                       (select t.agent from turns t where t.conversation_id = c.id and t.agent is not null
                        order by t.turn desc limit 1) as agent,
                       (select i.payload from interrupts i
                        where i.conversation_id = c.id and i.resolved_at is null limit 1) as interrupt
                   from conversations c order by c.opened_at desc, c.closed_at is not null limit 1""",
                {},
            )

    async def count_messages(self) -> dict[str, int]:
        """Return the number of the contact's messages by disposition. `open` counts those that no turn has taken."""
        return await self._count(
            """select coalesce(disposition, 'open') as name, count(*) as count from inbox
               where kind = 'message' group by 1"""
        )

    async def count_effects(self) -> dict[str, int]:
        """Return how often each tool with side effects has run, from the journal."""
        return await self._count("select name, count(*) as count from tool_calls where result is not null group by 1")

    async def _count(self, query: Any) -> dict[str, int]:
        async with self._system.statement() as tx:
            return {str(row["name"]): int(row["count"]) for row in await tx.all(dict, query, {})}
