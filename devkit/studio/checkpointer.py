"""Provide one checkpointer for all tenants' graphs: LangGraph's own, on the tables that workers write."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import BasePostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app import database_check, db
from app.config import Settings
from app.db import CONNECTION, Database, Role, set_local
from app.identity.queries import TenantRow
from app.turns.saver import SERDE
from devkit.studio import queries
from devkit.studio.queries import Owner

Connection = AsyncConnection[DictRow]

GRAPHS_TENANT = "__tenant"
"""The key of the tenant in a graph's config. Needed, because the server does not tell which graph reads a thread."""


@asynccontextmanager
async def checkpointer() -> AsyncIterator["TenantsSaver"]:
    """Yield the checkpointer. langgraph.json names this function, and the server enters it once."""
    settings = Settings.from_environment(required=tuple(database_check.ROLES))
    kwargs = {**CONNECTION, "row_factory": dict_row, "prepare_threshold": 0 if settings.prepares else None}
    async with (
        db.system_database(settings, size=2) as system,
        AsyncConnectionPool[Connection](settings.database_url, max_size=4, kwargs=kwargs) as pool,
    ):
        yield TenantsSaver(pool, system)


class TenantsSaver(BasePostgresSaver):
    """Reads and writes as the tenant of the thread, so that row-level security hides all other checkpoints.

    A thread belongs to the tenant whose conversation it is, or whose graph first wrote to it. Methods raise ValueError
    for a graph of another tenant. They also raise it for a write to a conversation, because its next turn would
    continue from that checkpoint.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection], system: Database) -> None:
        super().__init__(serde=SERDE)
        self._pool = pool
        self._system = system
        self._owners: dict[str, Owner] = {}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint of the thread, or None if nothing was written to it."""
        tenant_id = await self._tenant(config)
        if tenant_id is None:
            return None
        async with self._as(tenant_id) as connection:
            return await _saver(connection).aget_tuple(config)

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        """Yield the checkpoints of one thread. Raises ValueError without a thread: each thread has its own tenant."""
        if config is None:
            raise ValueError("name the thread whose checkpoints you want")
        tenant_id = await self._tenant(config)
        if tenant_id is None:
            return
        async with self._as(tenant_id) as connection:
            found = [each async for each in _saver(connection).alist(config, **options)]
        for each in found:
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint. A new thread belongs to the tenant of the graph."""
        async with self._as(await self._writer(config)) as connection:
            return await _saver(connection).aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write the pending writes of a task."""
        async with self._as(await self._writer(config)) as connection:
            await _saver(connection).aput_writes(config, writes, task_id, task_path)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread. The copy belongs to the same tenant."""
        owner = await self._owner(source_thread_id)
        if owner is not None:
            async with self._as(owner.tenant_id) as connection:
                for statement in queries.COPY:
                    await connection.execute(statement, {"source": source_thread_id, "target": target_thread_id})

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the thread's checkpoints."""
        owner = await self._owner(thread_id)
        if owner is not None:
            require_no_conversation(owner, thread_id)
            async with self._as(owner.tenant_id) as connection:
                await _saver(connection).adelete_thread(thread_id)
            self._owners.pop(thread_id, None)

    async def _writer(self, config: RunnableConfig) -> UUID:
        thread_id = str(config["configurable"]["thread_id"])
        tenant_id = await self._tenant(config)
        if tenant_id is None:
            raise ValueError(f"thread {thread_id} has no tenant: run it with a graph first")
        owner = await self._owner(thread_id)
        if owner is not None:
            require_no_conversation(owner, thread_id)
        return tenant_id

    async def _tenant(self, config: RunnableConfig) -> UUID | None:
        """Return the tenant of the thread. For a new thread it is the graph's, or None without a graph."""
        thread_id = str(config["configurable"]["thread_id"])
        owner = await self._owner(thread_id)
        if GRAPHS_TENANT not in config["configurable"]:
            return owner.tenant_id if owner else None
        tenant = config["configurable"][GRAPHS_TENANT]
        # A client of the server can set a string here, but no TenantRow.
        if not isinstance(tenant, TenantRow):
            raise ValueError(f"{GRAPHS_TENANT} is not for callers to set")
        if owner is not None and owner.tenant_id != tenant.id:
            raise ValueError(f"{tenant.slug} has no thread {thread_id}: it belongs to another tenant")
        return tenant.id

    async def _owner(self, thread_id: str) -> Owner | None:
        if thread_id not in self._owners:
            async with self._system.statement() as tx:
                owner = await queries.owner_of_thread(tx, UUID(thread_id))
            if owner is None:
                return None
            self._owners[thread_id] = owner
        return self._owners[thread_id]

    @asynccontextmanager
    async def _as(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        async with self._pool.connection() as connection, connection.transaction():
            await set_local(connection, Role.APP, tenant_id)
            yield connection


def require_no_conversation(owner: Owner, thread_id: str) -> None:
    """Raise ValueError if the thread is a conversation's own."""
    if owner.conversation:
        raise ValueError(
            f"{thread_id} is a conversation, which Studio does not change: copy the thread, and use the copy "
            f"(`recado studio fork {thread_id}`)"
        )


def _saver(connection: Connection) -> AsyncPostgresSaver:
    return AsyncPostgresSaver(connection, serde=SERDE)
