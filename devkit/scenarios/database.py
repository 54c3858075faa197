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
from psycopg.conninfo import make_conninfo

import migrations
from app.errors import RecadoError
from devkit.stack import run_servers


@dataclass(frozen=True)
class ScenarioDatabases:
    """A Postgres server with a migrated template database, and the Redis that nudges are sent to."""

    url: str
    redis_url: str
    _template: str
    _numbers: Iterator[int]

    @contextmanager
    def create(self) -> Iterator[str]:
        """Create a database with empty tables for the length of the block. Yield its URL."""
        name = f"{self._template}_{next(self._numbers)}"
        with _connect(self.url) as server:
            server.execute(_sql("create database {} template {} strategy file_copy", name, self._template))
            try:
                yield make_conninfo(self.url, dbname=name)
            finally:
                server.execute(_sql("drop database {} with (force)", name))


@contextmanager
def scenario_databases(database_url: str | None) -> Iterator[ScenarioDatabases]:
    """Prepare the server at the URL, or an embedded one that runs during the block. Raises RecadoError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recado-scenarios-")))
        servers = stack.enter_context(run_servers(folder, database_url=database_url, durable=False))
        template = f"recado_scenarios_{uuid4().hex[:12]}"
        try:
            server = stack.enter_context(_connect(servers.database_url))
            server.execute(_sql("create database {}", template))
            stack.callback(server.execute, _sql("drop database {} with (force)", template))
            list(migrations.apply(make_conninfo(servers.database_url, dbname=template)))
        except psycopg.Error as error:
            raise RecadoError(
                f"DATABASE_URL: scenarios need a Postgres where they may create databases: {error}"
            ) from None
        yield ScenarioDatabases(servers.database_url, servers.redis_url, template, itertools.count(1))


@contextmanager
def _connect(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _sql(text: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
