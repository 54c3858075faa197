"""What is said about a Postgres that cannot be used, or a login that may do too much, before a process starts."""

import psycopg
import pytest

from app import database_check
from app.config import Settings
from app.errors import ConfigurationError
from devkit.database_urls import DatabaseUrls


async def problem(url: str, variable: str = "DATABASE_URL", *, alone: bool = True) -> str:
    return await database_check.problem(url, variable, alone=alone) or ""


async def test_logins_that_migrations_make_are_ready(urls: DatabaseUrls) -> None:
    for variable, url in urls.processes.items():
        assert await problem(url, variable) == ""


async def test_without_our_tables_it_says_what_to_do(urls: DatabaseUrls) -> None:
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        connection.execute("drop table schema_migrations")
    assert "recado migrate" in await problem(urls.app)


async def test_a_login_takes_the_role_of_its_variable_only(urls: DatabaseUrls) -> None:
    for url, variable in ((urls.app, "SYSTEM_DATABASE_URL"), (urls.system, "DATABASE_URL")):
        assert "may not take the role" in await problem(url, variable)


async def test_a_process_refuses_a_superuser(urls: DatabaseUrls) -> None:
    for variable in database_check.ROLES:
        assert "may do more than the role" in await problem(urls.owner, variable)
        assert await problem(urls.owner, variable, alone=False) == "", "a command may use it"


@pytest.mark.parametrize(
    "more",
    [
        "grant recado_system to {login} with inherit false, set true",
        "alter role {login} bypassrls",
        "create table public.mine (id integer); alter table public.mine owner to {login}",
    ],
)
async def test_a_process_refuses_a_login_that_may_do_more(urls: DatabaseUrls, more: str) -> None:
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        connection.execute("create role greedy login password 'x'")
        try:
            connection.execute("grant recado_app to greedy with inherit false, set true")
            url = urls.owner.replace(urls.owner.split("@")[0], "postgresql://greedy:x")
            assert await problem(url) == ""
            connection.execute(more.format(login="greedy").encode())
            assert "'greedy' may do more than the role recado_app" in await problem(url)
        finally:
            connection.execute("drop owned by greedy; drop role greedy")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://recado:geheim@127.0.0.1:1/recado",
        "postgresql://recado:geheim@127.0.0.1:port/recado",
        "postgresql://recado:geheim@[::1/recado",
        "postgres//recado:geheim@127.0.0.1/recado",
        "recado:geheim@127.0.0.1/recado",
        "postgresql://recado:geheim/x@127.0.0.1:1/recado",
        "host=127.0.0.1 port=1 password=geheim nonsense",
    ],
)
async def test_a_wrong_address_never_shows_the_password(url: str) -> None:
    for found in (await problem(url), await database_check.owner_problem(url)):
        assert found
        assert "geheim" not in found


async def test_a_wrong_password_is_named_but_not_shown(urls: DatabaseUrls) -> None:
    password = urls.app.split("@")[0].rpartition(":")[2]
    found = await problem(urls.app.replace(password, "geheim"))
    assert "password" in found
    assert "geheim" not in found


def test_a_process_does_not_start_without_it() -> None:
    settings = Settings("postgresql://127.0.0.1:1/recado", "postgresql://127.0.0.1:1/recado", "redis://")
    for variable in database_check.ROLES:
        with pytest.raises(ConfigurationError):
            database_check.require(settings, [variable])
