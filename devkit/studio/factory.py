"""Define a factory for each tenant's graph, as a variable that langgraph.json can name."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from app import database_check, db
from app.assistants import service as assistants
from app.clock import utc_now
from app.config import Settings
from app.db import Database
from app.errors import RecadoError
from app.identity import service as identity
from app.identity.queries import TenantRow
from devkit.studio import queries
from devkit.studio.checkpointer import GRAPHS_TENANT, require_no_conversation
from devkit.studio.read_only_runner import ReadOnlyRunner
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.context import Context
from graphs.llm_client import Models
from manifest.loader import LoadedAssistant
from tools.net.guarded_http import GuardedHttpClient

IS_RUN = "__is_for_execution__"
"""The key in the config that the server sets to run the graph. It calls the factory without it to read a state."""


@asynccontextmanager
async def graph(slug: str, config: RunnableConfig) -> AsyncIterator[Graph]:
    """Yield the graph of the tenant's current version. Called for every run, and whenever a state is read.

    Raises ValueError for a run on a conversation, before a model is asked.
    """
    settings = Settings.from_environment(required=tuple(database_check.ROLES))
    async with db.system_database(settings) as system:
        if config["configurable"].get(IS_RUN):
            await _require_fork(system, config["configurable"].get("thread_id"))
        tenant, loaded = await _published(system, slug)
    assistant = loaded.assistant
    models = Models(settings.providers)
    http_client = GuardedHttpClient(allowed=settings.allowed_networks)
    runner = ReadOnlyRunner(settings, tenant.id, loaded.compiled, http_client)
    try:
        built = build(
            assistant,
            context=lambda: Context(utc_now(), "Studio", models, runner),
            interrupt_before=LEG_ENDS_BEFORE,
        )
        # The server always passes a context. Without a schema it is not converted.
        yield built.copy({"config": {"configurable": {GRAPHS_TENANT: tenant}}, "context_schema": None})
    finally:
        await models.close()
        await http_client.close()


async def _published(system: Database, slug: str) -> tuple[TenantRow, LoadedAssistant]:
    try:
        tenant = await identity.tenant(system, slug)
        return tenant, await assistants.current(system, tenant.id)
    except RecadoError as error:
        # The server sends the text of a ValueError to its client. For other errors it sends "Internal Server Error".
        raise ValueError(str(error)) from error


async def _require_fork(system: Database, thread_id: str | None) -> None:
    if thread_id is not None:
        async with system.statement() as tx:
            owner = await queries.owner_of_thread(tx, UUID(str(thread_id)))
        if owner is not None:
            require_no_conversation(owner, str(thread_id))


def variable(slug: str) -> str:
    """Return the name of the tenant's factory in this module. Its hyphen prevents a clash with other names."""
    return f"graph-{slug}"


# `langgraph dev` finds its graphs among the variables of this module.
globals().update({variable(slug): partial(graph, slug) for slug in os.environ.get("RECADO_TENANTS", "").split(",")})
