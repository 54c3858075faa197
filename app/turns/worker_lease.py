"""Prove that a worker is alive: it holds an advisory lock, which Postgres releases when the process dies."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog
from psycopg import AsyncConnection

from app import db
from app.background import Heartbeats, Periodic
from app.clock import Clock
from app.db import Database, DatabaseUnavailable, Transaction

log = structlog.get_logger()

LOCK_CLASS = 7701
CHECK_INTERVAL = 1.0
"""Seconds between checks of the connection that holds the lock."""
CHECK_TIMEOUT = 10.0

POSTGRES_ERRORS = (psycopg.Error, DatabaseUnavailable, OSError, TimeoutError)
"""What a Postgres that is away raises."""


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

    def __init__(
        self, database_url: str, system: Database, clock: Clock, validity: float, heartbeats: Heartbeats
    ) -> None:
        self._database_url = database_url
        self._system = system
        self._clock = clock
        self._connection: AsyncConnection[Any] | None = None
        pause = min(CHECK_INTERVAL, validity / 3)
        self._keeper = Periodic(heartbeats.of("lease"), lambda: pause, self._keep, POSTGRES_ERRORS)
        self._validity = validity
        self._valid_until = 0.0
        self._checking = asyncio.Lock()
        self._guards: set[asyncio.Timeout] = set()
        self.worker_id: int | None = None

    async def start(self) -> None:
        """Acquire the lock, and keep it from then on. Raises psycopg.Error, DatabaseUnavailable."""
        await self._acquire()
        self._keeper.start()

    async def close(self) -> None:
        """Release the lock."""
        self.worker_id = None
        await self._keeper.close()
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
        try:
            await connection.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, worker_id))
            await _warn_of_pooler(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._set_valid_until(asked + self._validity)
        self.worker_id = worker_id
        log.info("worker lease acquired", worker_id=worker_id)

    async def _keep(self) -> None:
        await (self._acquire() if self._connection is None else self._check())

    async def _check(self) -> None:
        """Ask Postgres on the connection that holds the lock. An answer proves that the lock was held when we asked."""
        async with self._checking:
            if self._connection is None or self.worker_id is None:
                return
            asked = time.monotonic()
            try:
                async with asyncio.timeout(CHECK_TIMEOUT):
                    await _require_lock(self._connection, self.worker_id)
            except POSTGRES_ERRORS as error:
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


class LockNotHeld(psycopg.OperationalError):
    """The connection's session does not hold the lock: a pooler in transaction mode has changed the session."""


HOLDS: LiteralString = """
select current_setting('transaction_read_only') = 'on', exists (
    select from pg_locks
    where locktype = 'advisory' and classid = %s and objid = %s and objsubid = 2 and granted and pid = pg_backend_pid()
)
"""


async def _require_lock(connection: AsyncConnection[Any], worker_id: int) -> None:
    """Raise LockNotHeld, or ReadOnlySqlTransaction after a failover: the new primary has not seen the lock."""
    read_only, held = await _only(connection, HOLDS, (LOCK_CLASS, worker_id))
    if read_only:
        raise psycopg.errors.ReadOnlySqlTransaction
    if not held:
        raise LockNotHeld


async def _warn_of_pooler(connection: AsyncConnection[Any]) -> None:
    """Log a connection through a pooler, which may give the lock's session to others and outlive this worker."""
    if await _only(connection, "select pg_backend_pid()", ()) != (connection.info.backend_pid,):
        log.warning("the worker's lock goes through a pooler: set DIRECT_DATABASE_URL if it pools transactions")


async def _only(connection: AsyncConnection[Any], query: LiteralString, params: tuple[Any, ...]) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await (await connection.execute(query, params)).fetchone()
    assert row is not None
    return row
