"""Databases that nobody has migrated yet."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from devkit import embedded

NewDatabase = Callable[[str], str]


@pytest.fixture
def new_database(embedded_servers: embedded.Servers) -> Iterator[NewDatabase]:
    """Makes an empty database of this name and says its URL."""
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
    """One empty database."""
    return new_database("empty")
