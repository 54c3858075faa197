"""The filled database, and transactions that explain what they run."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from app.db import Database, Role
from devkit import embedded
from tests.plans.explained import ExplainedTransaction
from tests.plans.fill import FILL, TENANT

Explain = Callable[[Role], AbstractAsyncContextManager[ExplainedTransaction]]


@pytest.fixture(scope="module")
def filled_url(embedded_servers: embedded.EmbeddedServers, template_database: str) -> Iterator[str]:
    """Yield the URL of a database with hundreds of thousands of rows in each table that grows, and one live worker."""
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as server:
        server.execute(f"create database filled template {template_database}".encode())
        url = embedded_servers.database_url.replace("/recado", "/filled")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in FILL:
                connection.execute(statement)
            yield url
        server.execute("drop database filled with (force)")


@pytest.fixture
def explain(filled_url: str) -> Explain:
    """Begins a transaction in a role, as the application does. All that it writes is rolled back."""

    @asynccontextmanager
    async def begin(role: Role) -> AsyncIterator[ExplainedTransaction]:
        tenant = UUID(TENANT) if role is Role.APP else None
        async with Database(filled_url, role=role, size=1) as database, database.transaction(tenant) as tx:
            yield ExplainedTransaction(tx._connection, role)
            await tx._connection.execute("rollback and chain")

    return begin
