"""A factory for each tenant's graph, under a name that langgraph.json can give."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from app.assistants import service as assistants
from app.clock import utc_now
from app.config import Settings
from app.db import Database, Role
from app.errors import RecadoError
from app.identity import service as identity
from app.identity.queries import TenantRow
from devkit.studio import queries
from devkit.studio.checkpointer import GRAPHS_TENANT, require_no_conversation
from devkit.studio.simulated_tools import ReadOnlyRunner
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.context import Context
from graphs.llm_client import Models
from manifest.loader import LoadedAssistant
from tools.net.guarded_http import GuardedHttpClient

IS_RUN = "__is_for_execution__"
"""Where the server says that it will run the graph. It looks at a state with the same factory."""


@asynccontextmanager
async def graph(slug: str, config: RunnableConfig) -> AsyncIterator[Graph]:
    """The graph of the tenant's current version. Called for every run and every look at a state.

    Raises ValueError for a run on a conversation, before it asks a model.
    """
    settings = Settings.from_environment(required=("DATABASE_URL",))
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        if config["configurable"].get(IS_RUN):
            await _require_fork(system, config["configurable"].get("thread_id"))
        tenant, loaded = await _published(system, slug)
    assistant = loaded.assistant
    models = Models(settings.providers)
    http_client = GuardedHttpClient(allowed=settings.allowed_networks)
    runner = ReadOnlyRunner(settings, tenant.id, loaded, http_client)
    try:
        built = build(
            assistant,
            context=lambda: Context(utc_now(), "Studio", models, runner),
            interrupt_before=LEG_ENDS_BEFORE,
        )
        # The server always passes a context, and ours cannot be made of it.
        yield built.copy({"config": {"configurable": {GRAPHS_TENANT: tenant}}, "context_schema": None})
    finally:
        await models.close()
        await http_client.close()


async def _published(system: Database, slug: str) -> tuple[TenantRow, LoadedAssistant]:
    try:
        tenant = await identity.tenant(system, slug)
        return tenant, await assistants.current(system, tenant.id)
    except RecadoError as error:
        # The server tells its client the text of a ValueError; of others it says "Internal Server Error".
        raise ValueError(str(error)) from error


async def _require_fork(system: Database, thread_id: str | None) -> None:
    if thread_id is not None:
        async with system.statement() as tx:
            owner = await queries.owner_of_thread(tx, UUID(str(thread_id)))
        if owner is not None:
            require_no_conversation(owner, str(thread_id))


def variable(slug: str) -> str:
    """The name of the tenant's factory in this module. With its hyphen it can be no name of ours."""
    return f"graph-{slug}"


# `langgraph dev` looks its graphs up among this module's variables.
globals().update({variable(slug): partial(graph, slug) for slug in os.environ.get("RECADO_TENANTS", "").split(",")})
