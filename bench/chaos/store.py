"""The bench's own look into Postgres and Redis, past the application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
import redis

from app import db
from app.db import Database, DatabaseUnavailable, Role
from devkit.database_urls import DatabaseUrls

DATA: LiteralString = (
    "appointments, checkpoint_blobs, checkpoint_writes, checkpoints, tool_calls, interrupts, turns, "
    "status_callbacks, outbox, inbox, conversations, contacts"
)

PATIENCE = 30.0

CUT: LiteralString = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'recado' and pid <> pg_backend_pid() and {connections}
"""
LOCKS: LiteralString = "pid in (select pid from pg_locks where locktype = 'advisory')"
"""By their locks workers are known to live: without them they go on, and others believe them dead."""
HALF: LiteralString = "random() < 0.5"

UNFINISHED = """
    select (select count(*) from conversations where pending > 0 or owner is not null)
         + (select count(*) from outbox
            where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null) as open
"""
"""How much is in hand."""


class Store:
    """Reads all tenants' rows."""

    def __init__(self, database: Database, owner_url: str, redis_url: str) -> None:
        self._database = database
        self._owner_url = owner_url
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2.0, socket_connect_timeout=1.0)

    async def rows(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a query. Waits for a Postgres that is just starting again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                async with self._database.statement() as tx:
                    return await tx.all(dict, query, parameters)
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def value(self, query: LiteralString, **parameters: Any) -> Any:
        """The only column of the first row, or None."""
        rows = await self.rows(query, **parameters)
        return next(iter(rows[0].values())) if rows else None

    async def empty(self) -> None:
        """Removes every conversation and nudge. Only while no worker runs."""
        await self._as_owner(f"truncate {DATA}")
        self.flush()

    async def analyze(self) -> None:
        """Lets Postgres count its rows now, as it does by itself after a while."""
        await self._as_owner("analyze")

    async def cut(self, connections: LiteralString) -> int:
        """Ends sessions of Recado's processes, as a broken network would; says how many. 0 while Postgres is away."""
        with contextlib.suppress(psycopg.Error, OSError):
            return await self._as_owner(CUT.format(connections=connections))
        return 0

    def flush(self) -> bool:
        """Empties Redis; False when it is away."""
        with contextlib.suppress(redis.RedisError):
            return bool(self._redis.flushall())
        return False

    async def _as_owner(self, statement: LiteralString) -> int:
        async with await db.connect(self._owner_url) as connection:
            return (await connection.execute(statement)).rowcount


@asynccontextmanager
async def store(databases: DatabaseUrls, redis_url: str) -> AsyncIterator[Store]:
    """An open store."""
    async with Database(databases.system, role=Role.SYSTEM, size=2) as database:
        yield Store(database, databases.owner, redis_url)
