"""What all commands have in common: what they load, and what they say when Postgres is not as it should be."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import migrations
from app.config import HELP
from app.crypto import new_secret_key
from cli.main import COMMANDS
from devkit.database_urls import DatabaseUrls
from tests.cli.shell import Done, recado, refused, run
from tests.platform import ACCOUNT_SID, NUMBER, TENANT, TENANTS

LOADED = """
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules})))
from cli.main import main
main()
"""
SERVERS = {"litestar", "uvicorn", "dramatiq", "langgraph", "aiohttp", "twilio"}
MODELS = {"langchain_openai", "langchain_groq", "langchain_google_genai", "openai"}

URLS = ("OWNER_DATABASE_URL", "DATABASE_URL", "SYSTEM_DATABASE_URL")

ON_THE_DATABASE = (
    ("migrate",),
    ("tenants", "publish", str(TENANTS / TENANT)),
    ("tenants", "list"),
    ("channels", "add", "--tenant", TENANT, "--account-sid", ACCOUNT_SID, "--auth-token", "x", "--address", NUMBER),
    ("channels", "list"),
    ("interrupts", "list"),
    ("interrupts", "resolve", "some-id"),
)


def loaded(*arguments: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    done = run(["-c", LOADED, *arguments])
    assert done.code == 0, done.err
    return set(done.out.rpartition("loaded:")[2].split())


def on_the_database(url: str, commands: tuple[tuple[str, ...], ...] = ON_THE_DATABASE) -> list[Done]:
    """Runs every command that needs Postgres, two at a time."""
    others = {"REDIS_URL": "redis://127.0.0.1:1", "RECADO_SECRET_KEY": new_secret_key()}
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda command: recado(*command, **dict.fromkeys(URLS, url), **others), commands))


def test_the_help_names_every_command_and_loads_none() -> None:
    done = recado("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if f"\n  {name} " in done.out] == list(COMMANDS)
    assert not loaded("--help") & (SERVERS | MODELS | {"psycopg", "pydantic", "redis", "ruamel"})


def test_administrative_commands_import_no_servers() -> None:
    assert not loaded("tenants", "check", str(TENANTS / TENANT)) & (SERVERS | MODELS)


def test_wrong_usage_is_told_from_a_failure() -> None:
    done = recado("tenant")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'tenant'" in done.err


def test_what_is_not_set_is_said() -> None:
    said = refused("interrupts", "resolve", "some-id")
    assert f"DATABASE_URL is not set: {HELP['DATABASE_URL']}\n" in said
    assert f"REDIS_URL is not set: {HELP['REDIS_URL']}\n" in said


def test_without_postgres_every_command_says_so() -> None:
    for done in on_the_database("postgresql://recado:secret-of-postgres@127.0.0.1:1/recado"):
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert "secret-of-postgres" not in done.err
        assert "refused" in done.err


def test_a_database_url_that_is_none_is_not_shown() -> None:
    """It may hold the password all the same."""
    for done in on_the_database("postgresql//recado:secret-of-postgres@127.0.0.1/recado"):
        assert (done.code, done.out) == (1, "")
        assert "secret-of-postgres" not in done.err
        assert re.search(r"error: (OWNER_|SYSTEM_)DATABASE_URL is malformed", done.err)


def test_without_our_tables_every_command_says_how_to_make_them(empty: str) -> None:
    commands = tuple(command for command in ON_THE_DATABASE if command != ("migrate",))
    for done in on_the_database(empty, commands):
        assert (done.code, done.out) == (1, "")
        assert "run `recado migrate`" in done.err


def test_migrating_makes_the_tables_once(empty: str) -> None:
    urls = DatabaseUrls.of_owner(empty)
    first = recado("migrate", **urls.environment)
    names = [migration.name for migration in migrations.available()]
    made = [line for line in first.out.splitlines() if line.startswith("made the login ")]
    assert [line for line in first.out.splitlines() if line not in made] == [
        *(f"applied {name}" for name in names),
        f"{len(names)} applied, the database is up to date",
    ]
    second = recado("migrate", **urls.environment)
    assert second.out == "the database is up to date\n"
    assert (first.code, second.code) == (0, 0)
    assert recado("tenants", "list", **urls.processes).code == 0


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:6379"])
def test_a_redis_url_that_is_none_is_said(urls: DatabaseUrls, url: str) -> None:
    """Before anything is decided: a decision cannot be taken back."""
    assert "REDIS_URL" in refused("interrupts", "resolve", "some-id", **urls.processes, REDIS_URL=url)
