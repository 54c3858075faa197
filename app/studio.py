"""What LangGraph Studio opens: a tenant's graph, on the conversations that the workers wrote.

`langgraph dev` finds this through langgraph.json. It works for one tenant, RECADO_TENANT, and as that tenant: row-level
security shows it nothing else. Tools that change something do not run here.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app.appointments.service import Booker, TenantAppointments
from app.assistants import service as assistants
from app.clock import utc_now
from app.config import Settings
from app.db import CONNECTION, Database, Role
from app.errors import ConfigurationError
from app.identity import service as identity
from app.identity.queries import TenantRow
from app.turns.saver import SERDE
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.config import Assistant
from graphs.context import Context
from graphs.models import Models
from tools.context import JSON, Effect, ToolCall, ToolContext

NEEDS = ("DATABASE_URL",)
NOBODY = UUID(int=0)


@asynccontextmanager
async def graph(config: RunnableConfig) -> AsyncIterator[Graph]:
    """The graph of the tenant's current version. Called for every run and every look at a state."""
    settings = Settings.from_environment(needs=NEEDS)
    tenant, assistant = await _published(settings)
    models = Models(settings.providers)
    runner = ReadOnlyRunner(settings, tenant.id, assistant)
    try:
        yield build(
            assistant,
            context=lambda: Context(utc_now(), "Studio", models, runner),
            interrupt_before=LEG_ENDS_BEFORE,
        )
    finally:
        await models.close()


@asynccontextmanager
async def checkpointer() -> AsyncIterator[AsyncPostgresSaver]:
    """LangGraph's own saver, on the tables that the workers' commits write."""
    settings = Settings.from_environment(needs=NEEDS)
    tenant, _ = await _published(settings)
    options = f"-c role={Role.APP} -c app.tenant_id={tenant.id}"
    async with AsyncConnectionPool[AsyncConnection[DictRow]](
        settings.database_url, max_size=4, kwargs={**CONNECTION, "row_factory": dict_row, "options": options}
    ) as pool:
        yield AsyncPostgresSaver(pool, serde=SERDE)


async def _published(settings: Settings) -> tuple[TenantRow, Assistant]:
    slug = os.environ.get("RECADO_TENANT")
    if not slug:
        raise ConfigurationError("RECADO_TENANT is not set: the slug of the tenant whose conversations Studio shows")
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        tenant = await identity.tenant(system, slug)
        return tenant, (await assistants.current(system, tenant.id)).assistant


class ReadOnlyRunner:
    """Fulfils the graph's tool port without changing anything."""

    def __init__(self, settings: Settings, tenant_id: UUID, assistant: Assistant) -> None:
        self._database_url = settings.database_url
        self._booker = Booker(tenant_id, contact_id=NOBODY, conversation_id=NOBODY)
        self._assistant = assistant

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing."""
        now, timezone = utc_now(), self._assistant.timezone
        async with Database(self._database_url, size=1) as db, db.statement(self._booker.tenant_id) as tx:
            appointments = TenantAppointments(tx, self._booker, self._assistant.calendars, timezone, now)
            return await effect(ToolContext(now, timezone, appointments))

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Does not run the tool, and says so."""
        return {"status": f"{call.name} changes something, and is switched off in Studio"}
