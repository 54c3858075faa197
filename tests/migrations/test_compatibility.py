"""Code and schema of different ages: what does not fit does not start, says what to do, and is not ready."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import migrations
from app import database_check
from app.crypto import new_secret_key
from bench.chaos.outages import read_only_database
from devkit.database_urls import DatabaseUrls
from migrations import Migration
from tests.cli.shell import recado, refused
from tests.migrations.conftest import NewDatabase
from tests.platform import Platform

KNOWN = migrations.available()
EXPAND = Migration("9998_expand.sql", "create table later (id integer)")
CONTRACT = Migration("9999_contract.sql", "-- migration: code since 9998\nalter table inbox drop column payload")
PROCESSES = ("api", "worker", "scheduler")


def environment(url: str) -> dict[str, Any]:
    return {
        **DatabaseUrls.of_owner(url).environment,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "RECADO_PUBLIC_URL": "https://bot.example.com",
        "RECADO_SECRET_KEY": new_secret_key(),
        "OPENAI_API_KEY": "key",
    }


@pytest.fixture
def older(new_database: NewDatabase) -> str:
    """A database without the newest migration."""
    url = new_database("older")
    list(migrations.apply(url, KNOWN[:-1]))
    list(migrations.make_logins(url, DatabaseUrls.of_owner(url).processes))
    return url


@pytest.fixture
def newer(new_database: NewDatabase) -> str:
    """A database with a migration that this code does not know and cannot work with."""
    url = new_database("newer")
    list(migrations.apply(url, [*KNOWN, EXPAND, CONTRACT]))
    list(migrations.make_logins(url, DatabaseUrls.of_owner(url).processes))
    return url


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_refuses_an_older_schema(older: str, process: str) -> None:
    message = refused(process, **environment(older))
    assert KNOWN[-1].name in message
    assert "run `recado migrate`" in message


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_refuses_a_schema_that_excludes_it(newer: str, process: str) -> None:
    message = refused(process, **environment(newer))
    assert CONTRACT.name in message
    assert "deploy a newer version" in message


@pytest.mark.parametrize("applied", [0, 1, 3, len(KNOWN) - 1])
async def test_every_older_schema_is_recognised(new_database: NewDatabase, applied: int) -> None:
    url = new_database("much_older")
    list(migrations.apply(url, KNOWN[:applied]))
    assert "run `recado migrate`" in str(await database_check.problem(url, alone=False))


async def test_a_newer_schema_that_only_adds_is_accepted(new_database: NewDatabase) -> None:
    url = new_database("expanded")
    list(migrations.apply(url, [*KNOWN, EXPAND]))
    assert await database_check.problem(url, alone=False) is None


def test_recado_migrate_brings_an_older_schema_up_to_date(older: str) -> None:
    assert KNOWN[-1].name in recado("migrate", **environment(older)).out
    assert "our tables" in recado("check", **environment(older)).out


async def readiness(platform: Platform) -> tuple[int, dict[str, str]]:
    async with platform.http.get(f"{platform.settings.public_url}/readyz") as answer:
        return answer.status, json.loads(await answer.text())


@contextmanager
def changed_schema(platform: Platform, change: str, undo: str) -> Iterator[None]:
    with psycopg.connect(platform.urls.owner, autocommit=True) as connection:
        connection.execute(change.encode())
        try:
            yield
        finally:
            connection.execute(undo.encode())


async def test_a_fitting_schema_is_ready(platform: Platform) -> None:
    assert await readiness(platform) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("change", "undo", "reason"),
    [
        (
            f"insert into schema_migrations values ('{CONTRACT.name}', '', now(), '9998')",
            f"delete from schema_migrations where name = '{CONTRACT.name}'",
            "deploy a newer version",
        ),
        (
            f"delete from schema_migrations where name = '{KNOWN[-1].name}'",
            f"insert into schema_migrations values ('{KNOWN[-1].name}', '{KNOWN[-1].sha256}')",
            "run `recado migrate`",
        ),
        # As before the migration that allows to read the table.
        (
            "revoke select on schema_migrations from recado_system",
            "grant select on schema_migrations to recado_system",
            "run `recado migrate`",
        ),
    ],
    ids=["newer", "older", "older than the version"],
)
async def test_another_schema_is_not_ready(platform: Platform, change: str, undo: str, reason: str) -> None:
    with changed_schema(platform, change, undo):
        status, answer = await readiness(platform)
    assert (status, answer["status"]) == (503, "not ready")
    assert reason in answer["reason"]


async def test_without_postgres_it_is_not_ready(platform: Platform) -> None:
    with read_only_database(platform.urls.owner):
        answers = await readiness(platform)
    assert answers == (503, {"status": "not ready", "reason": "Postgres is unavailable"})


@pytest.mark.parametrize("options", ["code since now", "with care", "code since 0012, faster", ""])
def test_a_first_line_that_is_not_understood_is_refused(options: str) -> None:
    with pytest.raises(ValueError, match=re.escape("a.sql: the first line declares")):
        Migration("a.sql", f"-- migration: {options}\ncreate table a ()")
