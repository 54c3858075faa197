"""Create a database for each scenario from one template, and drop it afterwards."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from app.errors import RecadoError
from devkit.database_urls import OWNER, DatabaseUrls
from devkit.stack import run_servers


@dataclass(frozen=True)
class ScenarioDatabases:
    """A Postgres server with a migrated template database, and the Redis that nudges are sent to."""

    urls: DatabaseUrls
    redis_url: str
    _template: str
    _numbers: Iterator[int]

    @contextmanager
    def create(self) -> Iterator[DatabaseUrls]:
        """Create a database with empty tables for the length of the block. Yield its URLs."""
        name = f"{self._template}_{next(self._numbers)}"
        with _connect(self.urls.owner) as server:
            server.execute(_sql("create database {} template {} strategy file_copy", name, self._template))
            try:
                yield self.urls.named(name)
            finally:
                server.execute(_sql("drop database {} with (force)", name))


@contextmanager
def scenario_databases(given: DatabaseUrls | None) -> Iterator[ScenarioDatabases]:
    """Prepare the server at the URLs, or an embedded one that runs during the block. Raises RecadoError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recado-scenarios-")))
        servers = stack.enter_context(run_servers(folder, databases=given, durable=False))
        template = f"recado_scenarios_{uuid4().hex[:12]}"
        try:
            server = stack.enter_context(_connect(servers.databases.owner))
            server.execute(_sql("create database {}", template))
            stack.callback(server.execute, _sql("drop database {} with (force)", template))
            list(servers.databases.named(template).migrate())
        except psycopg.Error as error:
            raise RecadoError(f"{OWNER}: scenarios need a Postgres where they may create databases: {error}") from None
        yield ScenarioDatabases(servers.databases, servers.redis_url, template, itertools.count(1))


@contextmanager
def _connect(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _sql(text: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
