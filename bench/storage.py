"""Direct access to Postgres and Redis, without the application: queries, truncation, broken connections."""

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

CONVERSATION_TABLES: LiteralString = (
    "appointments, checkpoint_blobs, checkpoint_writes, checkpoints, tool_calls, interrupts, turns, "
    "status_callbacks, outbox, inbox, conversations, contacts"
)

POSTGRES_TIMEOUT = 30.0
"""Seconds that a query waits for a Postgres that is being restarted."""
IDLE_POLL = 0.05

TERMINATE: LiteralString = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'recado' and pid <> pg_backend_pid() and {connections}
"""
LOCK_CONNECTIONS: LiteralString = "pid in (select pid from pg_locks where locktype = 'advisory')"
"""The connections that hold the workers' leases. Without its lease a worker that runs is believed dead."""
HALF_OF_CONNECTIONS: LiteralString = "random() < 0.5"

BREAK_CHECKPOINT: LiteralString = """
    update checkpoint_blobs b set type = 'msgpack', blob = '\\xc1'
    from (
        select c.id::text as thread_id from conversations c join checkpoint_blobs on thread_id = c.id::text
        where channel = 'messages' and not exists (
            select from inbox where conversation_id = c.id and turn is not null and disposition is null
        )
        order by random() limit 1
    ) chosen
    where b.thread_id = chosen.thread_id and b.channel = 'messages' returning b.thread_id
"""
"""Overwrites the messages of a random conversation with what is no MessagePack.

Not within a turn that has committed a leg: the results of its tools are lost with it, so it goes to an operator.
"""

UNFINISHED_WORK = """
    select (select count(*) from conversations where pending > 0 or owner is not null)
         + (select count(*) from outbox
            where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null) as unfinished
"""
"""Counts the conversations that wait for a turn or are in one, and the outbox rows that are still to be sent."""


class BenchStorage:
    """Reads and changes the data of all tenants."""

    def __init__(self, database: Database, owner_url: str, redis_url: str) -> None:
        self._database = database
        self._owner_url = owner_url
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2.0, socket_connect_timeout=1.0)

    async def fetch_rows(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """Return all rows of a query. Waits while Postgres restarts, and then raises DatabaseUnavailable."""
        deadline = time.monotonic() + POSTGRES_TIMEOUT
        while True:
            try:
                async with self._database.statement() as tx:
                    return await tx.all(dict, query, parameters)
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def fetch_value(self, query: LiteralString, **parameters: Any) -> Any:
        """Return the first column of the first row, or None when there is no row."""
        rows = await self.fetch_rows(query, **parameters)
        return next(iter(rows[0].values())) if rows else None

    async def wait_until_idle(self, timeout: float) -> float | None:
        """Wait until no turn and no message is left to process.

        Returns the seconds that it took, or None when work was left after `timeout` seconds.
        """
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            if not await self.fetch_value(UNFINISHED_WORK):
                return time.monotonic() - started
            await asyncio.sleep(IDLE_POLL)
        return None

    async def delete_conversations(self) -> None:
        """Delete every contact and conversation, and every nudge. No worker may run meanwhile."""
        await self._execute_as_owner(f"truncate {CONVERSATION_TABLES}")
        self.flush_redis()

    async def analyze(self) -> None:
        """Update the planner's statistics now. Autovacuum would do it only after some time."""
        await self._execute_as_owner("analyze")

    async def terminate_connections(self, connections: LiteralString) -> int:
        """End connections of Recado's processes at the server, as a broken network would.

        `connections` is a condition on pg_stat_activity. Returns how many were ended, and 0 while Postgres is down.
        """
        with contextlib.suppress(psycopg.Error, OSError):
            return await self._execute_as_owner(TERMINATE.format(connections=connections))
        return 0

    async def break_checkpoint(self) -> str | None:
        """Overwrite the state of a random conversation. Return its thread, and None when there is none."""
        with contextlib.suppress(psycopg.Error, OSError):
            async with await db.connect(self._owner_url) as connection:
                row = await (await connection.execute(BREAK_CHECKPOINT)).fetchone()
                return row[0] if row is not None else None
        return None

    def flush_redis(self) -> bool:
        """Delete everything in Redis. Returns False when Redis is down."""
        with contextlib.suppress(redis.RedisError):
            return bool(self._redis.flushall())
        return False

    async def _execute_as_owner(self, statement: LiteralString) -> int:
        async with await db.connect(self._owner_url) as connection:
            return (await connection.execute(statement)).rowcount


@asynccontextmanager
async def open_storage(databases: DatabaseUrls, redis_url: str) -> AsyncIterator[BenchStorage]:
    """Yield a BenchStorage, and close its connections with the block."""
    async with Database(databases.system, role=Role.SYSTEM, size=2) as database:
        yield BenchStorage(database, databases.owner, redis_url)
