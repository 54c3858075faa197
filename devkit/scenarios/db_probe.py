"""What a scenario looks up in its database: what is still to be done, and what has become of everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Database


@dataclass(frozen=True)
class Outlook:
    """`busy`: something is due or under way. `next_due`: when the next row is; `next_timer`: when the next timer is."""

    busy: bool
    next_due: datetime | None
    next_timer: datetime | None


@dataclass(frozen=True)
class Pending:
    """A conversation with something in its inbox."""

    tenant_id: UUID
    id: UUID
    due_at: datetime


@dataclass(frozen=True)
class Standing:
    """How the contact's conversation stands; the newest one, if there were several."""

    status: str
    agent: str | None
    interrupt: Mapping[str, Any] | None


class Ledger:
    """The scenario's own look at its database, past the product."""

    def __init__(self, system: Database) -> None:
        self._system = system

    async def outlook(self, now: datetime) -> Outlook:
        """What is to be done, and when."""
        async with self._system.statement() as tx:
            found = await tx.one(
                Outlook,
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
        assert found is not None, "it has no condition"
        return found

    async def pending(self) -> list[Pending]:
        """Conversations that somebody should be nudged about."""
        async with self._system.statement() as tx:
            return await tx.all(
                Pending, "select tenant_id, id, due_at from conversations where pending > 0 and due_at is not null", {}
            )

    async def nobody_lives(self) -> None:
        """Returns when Postgres takes no worker for alive, in no virtual time."""
        async with self._system.statement() as tx:
            while await tx.one(dict, "select id from live_workers limit 1", {}):
                await tx.run("select pg_sleep(0.001)", {})

    async def standing(self) -> Standing | None:
        """How the conversation stands; None when there is none."""
        async with self._system.statement() as tx:
            return await tx.one(
                Standing,
                """select c.status,
                       (select t.agent from turns t where t.conversation_id = c.id and t.agent is not null
                        order by t.turn desc limit 1) as agent,
                       (select i.payload from interrupts i
                        where i.conversation_id = c.id and i.resolved_at is null limit 1) as interrupt
                   from conversations c order by c.opened_at desc, c.closed_at is not null limit 1""",
                {},
            )

    async def dispositions(self) -> dict[str, int]:
        """The contact's messages by what became of them; `open` are those that wait."""
        return await self._counted(
            """select coalesce(disposition, 'open') as name, count(*) as count from inbox
               where kind = 'message' group by 1"""
        )

    async def effects(self) -> dict[str, int]:
        """The journal: writing tools that have run, by name."""
        return await self._counted("select name, count(*) as count from tool_calls where result is not null group by 1")

    async def _counted(self, query: Any) -> dict[str, int]:
        async with self._system.statement() as tx:
            return {str(row["name"]): int(row["count"]) for row in await tx.all(dict, query, {})}
