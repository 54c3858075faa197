"""`recado check`: what an environment lacks, and how to get it."""

from app.config import HELP
from app.crypto import SecretBox
from devkit.database_urls import DatabaseUrls
from graphs.providers import PROVIDERS
from tests.cli.shell import recado

PUBLIC_URL = "https://bot.example.com"


def findings(out: str) -> dict[str, str]:
    """Return each result by its subject. Errors of Postgres have further lines, which are left out."""
    return dict(line.split(": ", 1) for line in out.splitlines() if line.startswith(("ok ", "missing ")))


def test_every_missing_setting_comes_with_a_remedy() -> None:
    done = recado("check")
    keys = ", ".join(provider.key_variable for provider in PROVIDERS.values())
    assert done.code == 1
    assert findings(done.out) == {
        **{f"missing  {name}": f"not set: {text}" for name, text in HELP.items() if not name.startswith("OWNER")},
        "missing  model provider": f"none: set one of {keys}",
    }


def test_where_everything_is_set_nothing_is_missing(urls: DatabaseUrls, redis_url: str) -> None:
    made = recado("check", "--new-secret-key")
    key = made.out.removesuffix("\n")
    assert (made.code, SecretBox(key).unseal(SecretBox(key).seal(["token"]))) == (0, ("token",))
    done = recado(
        "check",
        **urls.processes,
        REDIS_URL=redis_url,
        RECADO_PUBLIC_URL=PUBLIC_URL,
        RECADO_SECRET_KEY=key,
        GROQ_API_KEY="secret-of-groq",
    )
    assert done.code == 0
    assert findings(done.out) == {
        "ok       DATABASE_URL": "Postgres answers, and has our tables",
        "ok       SYSTEM_DATABASE_URL": "Postgres answers, and has our tables",
        "ok       REDIS_URL": "Redis answers",
        "ok       RECADO_PUBLIC_URL": PUBLIC_URL,
        "ok       RECADO_SECRET_KEY": "usable",
        "ok       model provider": "GROQ_API_KEY",
    }


def test_what_is_set_and_does_not_work_is_missing_too() -> None:
    done = recado(
        "check",
        DATABASE_URL="postgresql://recado:secret-of-postgres@127.0.0.1:1/recado",
        REDIS_URL="redis://:secret-of-redis@127.0.0.1:1/0",
        RECADO_PUBLIC_URL="bot.example.com",
        RECADO_SECRET_KEY="secret-key-that-fits-nothing",
        OPENAI_API_KEY="secret-of-openai",
    )
    assert done.code == 1
    found = findings(done.out)
    assert found["missing  DATABASE_URL"].startswith("Postgres does not answer: ")
    assert found["missing  REDIS_URL"].startswith("Redis does not answer: ")
    assert found["missing  RECADO_PUBLIC_URL"].endswith("must look like https://bot.example.com, not 'bot.example.com'")
    assert found["missing  RECADO_SECRET_KEY"].endswith("make one with `recado check --new-secret-key`")
    assert found["ok       model provider"] == "OPENAI_API_KEY"
    assert "secret-of" not in done.out + done.err
    assert "secret-key-that" not in done.out + done.err


def test_a_malformed_setting_is_not_printed(empty: str, redis_url: str) -> None:
    malformed = recado("check", DATABASE_URL="recado:secret-of-postgres@db", REDIS_URL="recado:secret-of-redis@cache")
    assert "secret-of" not in malformed.out + malformed.err
    assert findings(malformed.out)["missing  DATABASE_URL"].startswith("DATABASE_URL is malformed")
    unprepared = recado("check", DATABASE_URL=empty, REDIS_URL=redis_url)
    assert "run `recado migrate`" in findings(unprepared.out)["missing  DATABASE_URL"]
