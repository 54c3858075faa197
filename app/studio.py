"""What LangGraph Studio opens: a tenant's graph, on the conversations that the workers wrote.

`langgraph dev` finds this through langgraph.json. It works for one tenant, RECADO_TENANT, and as that tenant: row-level
security shows it nothing else. Tools that change something do not run here.
"""

import os
from collections.abc import AsyncIterator, Mapping
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
from app.identity.secrets import Secrets
from app.identity.tokens import SecretBox
from app.turns.runner import NoCalendars
from app.turns.saver import SERDE
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.config import Assistant
from graphs.context import Context
from graphs.models import Models
from tools.context import JSON, Effect, Outgoing, ToolBroke, ToolCall, ToolContext, Unreachable
from tools.outgoing import GuardedOutgoing

NEEDS = ("DATABASE_URL",)
NOBODY = UUID(int=0)


@asynccontextmanager
async def graph(config: RunnableConfig) -> AsyncIterator[Graph]:
    """The graph of the tenant's current version. Called for every run and every look at a state."""
    settings = Settings.from_environment(needs=NEEDS)
    tenant, assistant = await _published(settings)
    models = Models(settings.providers)
    outgoing = GuardedOutgoing(allowed=settings.allowed_networks)
    runner = ReadOnlyRunner(settings, tenant.id, assistant, outgoing)
    try:
        yield build(
            assistant,
            context=lambda: Context(utc_now(), "Studio", models, runner),
            interrupt_before=LEG_ENDS_BEFORE,
        )
    finally:
        await models.close()
        await outgoing.close()


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

    def __init__(self, settings: Settings, tenant_id: UUID, assistant: Assistant, outgoing: Outgoing) -> None:
        self._settings = settings
        self._booker = Booker(tenant_id, contact_id=NOBODY, conversation_id=NOBODY)
        self._assistant = assistant
        self._outgoing = outgoing

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing."""
        async with self._database() as db, db.statement(self._booker.tenant_id) as tx:
            now, assistant = utc_now(), self._assistant
            appointments = TenantAppointments(tx, self._booker, assistant.calendars, assistant.timezone, now)
            return await effect(ToolContext(now, assistant.timezone, appointments, self._outgoing))

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Does not run the tool, and says so."""
        return {"status": f"{call.name} changes something, and is switched off in Studio"}

    async def read_elsewhere(self, call: ToolCall, effect: Effect) -> JSON:
        """Asks another system, with the tenant's secrets if RECADO_SECRET_KEY is set."""
        secrets: Mapping[str, str] = {}
        if call.secrets and self._settings.secret_key:
            async with self._database() as db:
                box = SecretBox(self._settings.secret_key)
                secrets = await Secrets(db, box).of(self._booker.tenant_id, call.secrets)
        if missing := sorted(call.secrets - secrets.keys()):
            raise ToolBroke("a secret is not set", told=f"not set here: {', '.join(missing)}")
        context = ToolContext(
            utc_now(), self._assistant.timezone, NoCalendars(), self._outgoing, key=f"studio:{call.id}", secrets=secrets
        )
        try:
            return await effect(context)
        except Unreachable as error:
            raise ToolBroke(str(error), told=str(error)) from None

    async def write_elsewhere(self, call: ToolCall, effect: Effect, *, repeatable: bool) -> JSON:
        """Does not run the tool, and says so."""
        return await self.write_once(call, effect)

    def _database(self) -> Database:
        return Database(self._settings.database_url, size=1)
