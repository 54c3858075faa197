"""A factory for each tenant's graph, under a name that langgraph.json can give."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from app.assistants import service as assistants
from app.clock import utc_now
from app.config import Settings
from app.db import Database, Role
from app.errors import RecadoError
from app.identity import service as identity
from app.identity.queries import TenantRow
from devkit.studio.checkpointer import GRAPHS_TENANT
from devkit.studio.simulated_tools import ReadOnlyRunner
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.context import Context
from graphs.llm_client import Models
from manifest.loader import LoadedAssistant
from tools.net.guarded_http import GuardedHttpClient


@asynccontextmanager
async def graph(slug: str) -> AsyncIterator[Graph]:
    """The graph of the tenant's current version. Called for every run and every look at a state."""
    settings = Settings.from_environment(required=("DATABASE_URL",))
    tenant, loaded = await _published(settings, slug)
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


async def _published(settings: Settings, slug: str) -> tuple[TenantRow, LoadedAssistant]:
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        try:
            tenant = await identity.tenant(system, slug)
            return tenant, await assistants.current(system, tenant.id)
        except RecadoError as error:
            # The server tells its client the text of a ValueError; of others it says "Internal Server Error".
            raise ValueError(str(error)) from error


def variable(slug: str) -> str:
    """The name of the tenant's factory in this module. With its hyphen it can be no name of ours."""
    return f"graph-{slug}"


# `langgraph dev` looks its graphs up among this module's variables.
globals().update({variable(slug): partial(graph, slug) for slug in os.environ.get("RECADO_TENANTS", "").split(",")})
