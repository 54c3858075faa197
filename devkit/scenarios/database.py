"""Where scenarios keep their rows: a database for each, made from one template and dropped afterwards."""

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
class Databases:
    """Makes databases on one server, and knows the Redis that takes nudges which nobody reads."""

    url: str
    redis_url: str
    _template: str
    _numbers: Iterator[int]

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a database with our tables and nothing in them, for the length of the block."""
        name = f"{self._template}_{next(self._numbers)}"
        with _administering(self.url) as server:
            server.execute(_sql("create database {} template {} strategy file_copy", name, self._template))
            try:
                yield _named(self.url, name)
            finally:
                server.execute(_sql("drop database {} with (force)", name))


@contextmanager
def databases(given_url: str | None) -> Iterator[Databases]:
    """On the Postgres of the given URL, or on one that lives as long as the block does. Raises RecadoError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recado-scenarios-")))
        servers = stack.enter_context(run_servers(folder, database_url=given_url, durable=False))
        template = f"recado_scenarios_{uuid4().hex[:12]}"
        try:
            server = stack.enter_context(_administering(servers.database_url))
            server.execute(_sql("create database {}", template))
            stack.callback(server.execute, _sql("drop database {} with (force)", template))
            list(migrations.apply(_named(servers.database_url, template)))
        except psycopg.Error as error:
            raise RecadoError(
                f"DATABASE_URL: scenarios need a Postgres where they may create databases: {error}"
            ) from None
        yield Databases(servers.database_url, servers.redis_url, template, itertools.count(1))


@contextmanager
def _administering(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _named(url: str, database: str) -> str:
    return make_conninfo(url, dbname=database)


def _sql(text: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
