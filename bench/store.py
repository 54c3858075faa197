"""The bench's own look into Postgres and Redis, past the application."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import redis

from app import db
from app.db import Database, Role

DATA: LiteralString = (
    "appointments, checkpoint_blobs, checkpoint_writes, checkpoints, tool_calls, interrupts, turns, "
    "status_callbacks, outbox, inbox, conversations, contacts"
)


class Store:
    """Reads all tenants' rows."""

    def __init__(self, database: Database, database_url: str, redis_url: str) -> None:
        self._database = database
        self._database_url = database_url
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2.0, socket_connect_timeout=1.0)

    async def rows(self, query: LiteralString, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a query."""
        async with self._database.statement() as tx:
            return await tx.all(dict, query, parameters)

    async def value(self, query: LiteralString, **parameters: Any) -> Any:
        """The only column of the first row, or None."""
        rows = await self.rows(query, **parameters)
        return next(iter(rows[0].values())) if rows else None

    async def empty(self) -> None:
        """Removes every conversation and nudge. Only while no worker runs."""
        connection = await db.connect(self._database_url)
        async with connection:
            await connection.execute(f"truncate {DATA}")
        self.flush()

    def flush(self) -> bool:
        """Empties Redis; False when it is away."""
        with contextlib.suppress(redis.RedisError):
            return bool(self._redis.flushall())
        return False


@asynccontextmanager
async def store(database_url: str, redis_url: str) -> AsyncIterator[Store]:
    """An open store."""
    async with Database(database_url, role=Role.SYSTEM, size=2) as database:
        yield Store(database, database_url, redis_url)
