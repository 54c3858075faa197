"""`recado check`."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping

import click
import redis

from app import database_check
from app.config import HELP, Settings
from app.crypto import SecretBox, new_secret_key
from app.errors import ConfigurationError
from graphs.providers import PROVIDERS

Finding = tuple[bool, str, str]
"""Whether the check passed, its subject, and the result or the remedy."""


@click.command()
@click.option("--new-secret-key", "only_key", is_flag=True, help="Only print a fresh value for RECADO_SECRET_KEY.")
def command(only_key: bool) -> None:
    """Check this machine's environment: what is missing, and how to get it."""
    if only_key:
        click.echo(new_secret_key())
        return
    findings = list(_findings(os.environ))
    for well, subject, text in findings:
        mark = click.style("ok     ", fg="green") if well else click.style("missing", fg="red")
        click.echo(f"{mark}  {subject}: {text}")
    if not all(well for well, _, _ in findings):
        sys.exit(1)


def _findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name, help_text in HELP.items():
        if name == "OWNER_DATABASE_URL":
            # Only `recado migrate` needs it: no server should have it.
            continue
        value = environ.get(name, "")
        if not value:
            yield False, name, f"not set: {help_text}"
        elif name in database_check.ROLES:
            yield _of(asyncio.run(database_check.problem(value, name)), name, "Postgres answers, and has our tables")
        elif name == "REDIS_URL":
            yield _of(_redis_problem(value), name, "Redis answers")
        elif name == "RECADO_SECRET_KEY":
            yield _of(_key_problem(value), name, "usable")
        else:
            yield _of(_settings_problem(environ), name, value)
    keys = [provider.key_variable for provider in PROVIDERS.values()]
    found = [key for key in keys if environ.get(key)]
    yield bool(found), "model provider", ", ".join(found) or f"none: set one of {', '.join(keys)}"


def _of(problem: str | None, subject: str, well: str) -> Finding:
    return (True, subject, well) if problem is None else (False, subject, problem)


def _redis_problem(url: str) -> str | None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        return f"Redis does not answer: {error}"
    return None


def _key_problem(keys: str) -> str | None:
    try:
        SecretBox(keys)
    except ConfigurationError as error:
        return str(error)
    return None


def _settings_problem(environ: Mapping[str, str]) -> str | None:
    try:
        Settings.from_environment(environ)
    except ConfigurationError as error:
        return str(error)
    return None
