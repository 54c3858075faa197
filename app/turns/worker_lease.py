"""Prove that a worker is alive: it holds an advisory lock, which Postgres releases when the process dies."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from app import db
from app.clock import Clock
from app.db import Database, DatabaseUnavailable, Transaction

log = structlog.get_logger()

LOCK_CLASS = 7701
CHECK_INTERVAL = 1.0
"""Seconds between checks of the connection that holds the lock."""
CHECK_TIMEOUT = 10.0


async def add_worker(tx: Transaction, host: str, pid: int, now: datetime) -> int:
    """Add a worker and return its id. Ids are never reused."""
    row = await tx.one(
        dict,
        "insert into workers (host, pid, started_at) values (%(host)s, %(pid)s, %(now)s) returning id",
        {"host": host, "pid": pid, "now": now},
    )
    assert row is not None
    return int(row["id"])


class WorkerLease:
    """Holds the advisory lock of this worker on a dedicated connection.

    `worker_id` is None while the lock is not held; then the worker must not claim. When the connection is lost, other
    workers may take this worker's conversations, and the lease is renewed under a new id.

    Postgres may have dropped the lock `validity` seconds before this worker notices, and not earlier: without a
    confirmation for so long, `confirm` is false and guarded blocks are cancelled.
    """

    def __init__(self, database_url: str, system: Database, clock: Clock, validity: float) -> None:
        self._database_url = database_url
        self._system = system
        self._clock = clock
        self._connection: AsyncConnection[Any] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._validity = validity
        self._valid_until = 0.0
        self._checking = asyncio.Lock()
        self._guards: set[asyncio.Timeout] = set()
        self.worker_id: int | None = None

    async def start(self) -> None:
        """Acquire the lock, and keep it from then on. Raises psycopg.Error, DatabaseUnavailable."""
        await self._acquire()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Release the lock."""
        self.worker_id = None
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._disconnect()

    async def confirm(self, owner: int) -> bool:
        """Return whether this worker holds the lock of `owner`. Asks Postgres when the last answer is too old."""
        if self.worker_id == owner and self._remaining() <= 0:
            await self._check()
        return self.worker_id == owner and self._remaining() > 0

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Cancel the block, and raise TimeoutError, when the lock may be lost."""
        async with asyncio.timeout(self._remaining()) as guard:
            self._guards.add(guard)
            try:
                yield
            finally:
                self._guards.discard(guard)

    def _remaining(self) -> float:
        # The loop's own time stands still while a callback runs.
        return self._valid_until - time.monotonic()

    def _set_valid_until(self, until: float) -> None:
        self._valid_until = until
        for guard in self._guards:
            if not guard.expired():
                guard.reschedule(asyncio.get_running_loop().time() + self._remaining())

    async def _acquire(self) -> None:
        async with self._system.statement() as tx:
            worker_id = await add_worker(tx, socket.gethostname(), os.getpid(), self._clock())
        connection = await db.connect(self._database_url)
        asked = time.monotonic()
        await connection.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, worker_id))
        self._connection = connection
        self._set_valid_until(asked + self._validity)
        self.worker_id = worker_id
        log.info("worker lease acquired", worker_id=worker_id)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(CHECK_INTERVAL, self._validity / 3))
            if self._connection is not None:
                await self._check()
                continue
            try:
                await self._acquire()
            except (psycopg.Error, DatabaseUnavailable, OSError, TimeoutError) as error:
                log.warning("worker lease not acquired", error=type(error).__name__)

    async def _check(self) -> None:
        """Ask Postgres on the connection that holds the lock. An answer proves that the lock was held when we asked."""
        async with self._checking:
            if self._connection is None:
                return
            asked = time.monotonic()
            try:
                async with asyncio.timeout(CHECK_TIMEOUT):
                    await _require_writable(self._connection)
            except (psycopg.Error, DatabaseUnavailable, OSError, TimeoutError) as error:
                log.warning("worker lease lost", error=type(error).__name__)
                self.worker_id = None
                self._set_valid_until(0.0)
                await self._disconnect()
            else:
                self._set_valid_until(asked + self._validity)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


async def _require_writable(connection: AsyncConnection[Any]) -> None:
    """Raise ReadOnlySqlTransaction after a failover: the lock on the former primary is not seen on the new one."""
    cursor = await connection.execute("show transaction_read_only")
    if await cursor.fetchone() == ("on",):
        raise psycopg.errors.ReadOnlySqlTransaction
