"""Check, before it is used, that Postgres answers, that its schema is ours, and what the logins may do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row

import migrations
from app.config import Settings
from app.db import Database, Role, connect, set_local
from app.errors import ConfigurationError
from migrations import AppliedMigration

NO_TABLES = "Postgres answers, but has none of our tables: run `recado migrate`"

ROLES = {variable: Role(name) for variable, name in migrations.LOGIN_ROLES.items()}
"""The role that the login of each variable takes."""

LOGIN: LiteralString = """
select current_user as name,
    array(select rolname::text from pg_roles where rolname = any(%s) and pg_has_role(oid, 'SET')) as roles,
    exists (select from pg_roles where rolname = current_user and (rolsuper or rolbypassrls))
    or exists (select from pg_class where relnamespace = 'public'::regnamespace and pg_has_role(relowner, 'MEMBER'))
    as is_unbound
"""


@dataclass(frozen=True)
class Login:
    """The login of a connection. `is_unbound`: it owns our tables, or row-level security does not bind it."""

    name: str
    roles: list[str]
    is_unbound: bool

    def missing(self, role: Role) -> str | None:
        """Return that the login may not take the role, or None."""
        if role in self.roles:
            return None
        return f"the login {self.name!r} may not take the role {role}: run `recado migrate`"

    def excess(self, role: Role) -> str | None:
        """Return that the login may do more than the role may, or None."""
        if not self.is_unbound and len(self.roles) == 1:
            return None
        return (
            f"the login {self.name!r} may do more than the role {role}. Use one that owns nothing, is no superuser "
            "and may take no other role: `recado migrate` makes it"
        )


async def schema_problem(database: Database) -> str | None:
    """Return why this code cannot work with the schema, or None. Raises DatabaseUnavailable."""
    async with database.statement() as tx:
        try:
            return migrations.schema_problem(await tx.all(AppliedMigration, migrations.APPLIED, {}))
        except psycopg.errors.UndefinedTable:
            return NO_TABLES
        except psycopg.errors.InsufficientPrivilege:
            # The migration that allows to read the table is missing.
            return migrations.schema_problem([])


async def problem(url: str, variable: str = "DATABASE_URL", *, alone: bool = True) -> str | None:
    """Return why Postgres cannot be used through a variable's URL, or None. Never shows the password.

    The schema must be one that this code works with. `alone`: the login must not be able to do more than its role.
    Waits up to five seconds.
    """
    role = ROLES[variable]

    async def look(connection: AsyncConnection[Any]) -> str | None:
        async with connection.cursor(row_factory=class_row(Login)) as cursor:
            await cursor.execute(LOGIN, (list(Role),))
            (login,) = await cursor.fetchall()
        if found := login.missing(role):
            return f"{variable}: {found}"
        if found := await _schema(connection, role):
            return found
        return f"{variable}: {found}" if alone and (found := login.excess(role)) else None

    return await _connected(url, variable, look)


async def _schema(connection: AsyncConnection[Any], role: Role) -> str | None:
    try:
        async with connection.transaction(), connection.cursor(row_factory=class_row(AppliedMigration)) as cursor:
            await set_local(connection, role)
            await cursor.execute(migrations.APPLIED)
            return migrations.schema_problem(await cursor.fetchall())
    except psycopg.errors.InsufficientPrivilege:
        # The migration that allows to read the table is missing.
        return migrations.schema_problem([])


async def owner_problem(url: str) -> str | None:
    """Return why Postgres does not answer through OWNER_DATABASE_URL, or None. Waits up to five seconds."""

    async def look(_: AsyncConnection[Any]) -> None:
        return None

    return await _connected(url, "OWNER_DATABASE_URL", look)


async def _connected(
    url: str, variable: str, look: Callable[[AsyncConnection[Any]], Awaitable[str | None]]
) -> str | None:
    try:
        async with asyncio.timeout(5), await connect(url) as connection:
            return await look(connection)
    except psycopg.errors.UndefinedTable:
        return NO_TABLES
    except psycopg.ProgrammingError as error:
        if error.sqlstate:
            return f"Postgres refuses: {error}"
        # Its text quotes the URL, and with it the password.
        return f"{variable} is malformed: it must look like postgresql://user:password@host/recado"
    except (OSError, psycopg.Error, TimeoutError) as error:
        return f"Postgres does not answer: {error or type(error).__name__}"


def require(settings: Settings, variables: Sequence[str], *, alone: bool = True) -> None:
    """Raise ConfigurationError when Postgres cannot be used through one of the variables that name a database.

    Call it before the event loop starts.
    """
    urls = {"DATABASE_URL": settings.database_url, "SYSTEM_DATABASE_URL": settings.system_database_url}
    for variable in variables:
        if variable in urls and (found := asyncio.run(problem(urls[variable], variable, alone=alone))):
            raise ConfigurationError(found)
