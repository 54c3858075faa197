"""Make the logins of Recado's processes. They own nothing, and each may take one role."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

LOGIN_ROLES = {"DATABASE_URL": "recado_app", "SYSTEM_DATABASE_URL": "recado_system"}
"""The role that the login of each variable may take."""


class LoginError(Exception):
    """A URL names no login that can be made. The text says what to do, and shows no password."""


def make(owner_url: str, urls: Mapping[str, str]) -> Iterator[str]:
    """Make the logins that URLs name, by variable, and yield the name of each that had no role before.

    A login that exists keeps its password. Raises LoginError, psycopg.Error.
    """
    with psycopg.connect(owner_url, autocommit=True, application_name="recado migrate") as connection:
        for variable, url in urls.items():
            name, password = _named(variable, url)
            if name == connection.info.user:
                raise LoginError(f"{variable} must name another login than OWNER_DATABASE_URL, not {name!r}")
            role = LOGIN_ROLES[variable]
            try:
                made = _make_one(connection, name, password, role)
            except psycopg.errors.InsufficientPrivilege as error:
                raise LoginError(
                    f"{error.diag.message_primary}: let an administrator run `create role {name} login password '…'` "
                    f"and `grant {role} to {name} with inherit false, set true`"
                ) from None
            if made:
                yield name


def _named(variable: str, url: str) -> tuple[str, str | None]:
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    if not parts.get("user"):
        raise LoginError(f"{variable} must name a login: postgresql://user:password@host/recado")
    password = parts.get("password")
    return str(parts["user"]), None if password is None else str(password)


def _make_one(connection: psycopg.Connection[Any], name: str, password: str | None, role: str) -> bool:
    """Return whether the login was given its role now."""
    login = sql.Identifier(name)
    if connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone() is None:
        _create(connection, name, password)
    database = connection.info.dbname
    may_connect = "select has_database_privilege(%s, %s, 'connect')"
    if connection.execute(may_connect, [name, database]).fetchone() == (False,):
        connection.execute(sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), login))
    if connection.execute("select pg_has_role(%s, %s, 'SET')", [name, role]).fetchone() == (True,):
        return False
    # Not inherited: a statement without a role reads nothing.
    grant = sql.SQL("grant {} to {} with inherit false, set true")
    connection.execute(grant.format(sql.Identifier(role), login))
    return True


def _create(connection: psycopg.Connection[Any], name: str, password: str | None) -> None:
    statement = sql.SQL("create role {} login noinherit").format(sql.Identifier(name))
    if password is not None:
        # Hashed here: Postgres may log the statement.
        hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        statement += sql.SQL(" password {}").format(sql.Literal(hashed))
    try:
        connection.execute(statement)
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        # Another `recado migrate` has made it in this moment.
        return
