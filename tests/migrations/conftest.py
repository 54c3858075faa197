"""Provide databases that are not migrated."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from devkit import embedded

NewDatabase = Callable[[str], str]


@pytest.fixture
def new_database(embedded_servers: embedded.EmbeddedServers) -> Iterator[NewDatabase]:
    """Return a function that creates an empty database and returns its URL."""
    made: list[str] = []
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as connection:

        def make(name: str) -> str:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            made.append(name)
            return embedded_servers.database_url.replace("/recado", f"/{name}")

        yield make
        for name in made:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def empty(new_database: NewDatabase) -> str:
    """Return the URL of an empty database."""
    return new_database("empty")


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[embedded.Postgres]:
    """Run a Postgres server without our roles, with two databases of a login that is not a superuser.

    Hosted Postgres servers usually give such a login.
    """
    server = embedded.Postgres(tmp_path, durable=False)
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create role clinic login createrole password 'clinic'")
        for name in ("one", "two"):
            connection.execute(f"create database {name} owner clinic")
    yield server
    server.stop()
