"""A worker is alive while a connection of its own holds its advisory lock, which Postgres drops with the process."""

import asyncio
import contextlib
import os
import socket
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from app import db
from app.clock import Clock
from app.db import Database
from app.turns import queries

log = structlog.get_logger()

LOCK_CLASS = 7701
BEAT = 1.0
"""Seconds between looks at the connection."""
BEAT_TIMEOUT = 10.0


class Registration:
    """Keeps this process registered. `worker_id` is None while it is not, and then nothing may be claimed.

    When the connection is lost, so is the lock: what this worker had in hand may be taken by others. It comes back
    under a new id, because ids of the dead are never used again.
    """

    def __init__(self, database_url: str, system: Database, clock: Clock) -> None:
        self._database_url = database_url
        self._system = system
        self._clock = clock
        self._connection: AsyncConnection[Any] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.worker_id: int | None = None

    async def start(self) -> None:
        """Registers, and keeps at it. Raises psycopg.Error when Postgres is not there."""
        await self._register()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Ends this worker's life, as far as others can see."""
        self.worker_id = None
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._drop()

    async def _register(self) -> None:
        async with self._system.statement() as tx:
            worker_id = await queries.add_worker(tx, socket.gethostname(), os.getpid(), self._clock())
        connection = await db.connect(self._database_url)
        await connection.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, worker_id))
        self._connection = connection
        self.worker_id = worker_id
        log.info("worker registered", worker_id=worker_id)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            try:
                if self._connection is None:
                    await self._register()
                else:
                    async with asyncio.timeout(BEAT_TIMEOUT):
                        await self._connection.execute("select 1")
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("worker not registered", error=type(error).__name__)
                self.worker_id = None
                await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()
