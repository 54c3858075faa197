"""The only access to Postgres. `Database.transaction` and `Database.statement` are the only commits.

Every connection has a role that row-level security binds. `recado_app` sees one tenant, which is set for the length of
one transaction. `recado_system`, for sweeps and schedules, sees all tenants. Neither owns anything.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from functools import cache
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg import AsyncConnection, AsyncRawCursor, sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

import migrations
from app.errors import ConfigurationError
from migrations import AppliedMigration

log = structlog.get_logger()

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)

Row = dict[str, Any]
Params = Mapping[str, Any]

READ_ONLY = "25006"
"""The SQLSTATE of a write to a Postgres that takes none, such as a primary after a failover."""

UNAVAILABLE = ("08", "40", "53100", "53300", "57P0", READ_ONLY)
"""The first characters of each SQLSTATE that another try may not get: no connection, a lost race, a full disk, too many
connections, a shutdown, no writes."""

PLACEHOLDER = re.compile(r"%\((\w+)\)s")

# A tenant's statements name what they look for by ids: one plan is as good for one id as for another, and planning the
# commit of a turn anew for its values takes longer than running it. Statements without a tenant look for what is due
# among the rows of all: there Postgres compares the plans.
SET_TENANT = """
    select set_config('app.tenant_id', %s, true), set_config('plan_cache_mode', 'force_generic_plan', true)
"""

CONNECTION: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "recado",
    # Of several hosts, take the primary. One host that takes no writes is refused, until it does.
    "target_session_attrs": "read-write",
}

RECONNECT_WITHIN = 10.0
"""Seconds that a pool tries to connect, from the start or from a request on. Bounds its pauses, which double."""

SERVER_KEEPALIVE = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


class DatabaseUnavailable(Exception):
    """Postgres is away, full or read-only, or broke the connection. A later try may succeed.

    The text names the driver's error and its SQLSTATE only.
    """

    def __init__(self, error: psycopg.Error) -> None:
        self.sqlstate = _sqlstate(error)
        super().__init__(" ".join(filter(None, (type(error).__name__, self.sqlstate))))


def _sqlstate(error: psycopg.Error) -> str | None:
    return error.sqlstate or error.diag.sqlstate


def _is_unavailable(error: psycopg.Error, connection: AsyncConnection[Any] | None) -> bool:
    """Return whether a later try may succeed. `connection` is None when the pool gave none."""
    if connection is None:
        return True
    return connection.closed or (_sqlstate(error) or "").startswith(UNAVAILABLE)


@contextmanager
def _unavailability(connection: AsyncConnection[Any]) -> Iterator[None]:
    """Raise DatabaseUnavailable for the errors of an unavailable Postgres. Other errors pass."""
    try:
        yield
    except psycopg.Error as error:
        if _is_unavailable(error, connection):
            raise DatabaseUnavailable(error) from error
        raise


class Role(StrEnum):
    """The database role of a connection."""

    APP = "recado_app"
    SYSTEM = "recado_system"


@cache
def numbered(query: LiteralString) -> tuple[LiteralString, list[str]]:
    """Return the query with Postgres's own placeholders, and the names of their values.

    Cached, because the driver would convert the long statements at every call.
    """
    names = list(dict.fromkeys(PLACEHOLDER.findall(query)))
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    return PLACEHOLDER.sub(lambda match: numbers[match[1]], query), names


class Transaction:
    """Runs statements for one tenant, or for all as `Role.SYSTEM`.

    Rows are instances of the class that the caller names. Every method raises DatabaseUnavailable, and psycopg.Error
    for what another try would get again.
    """

    def __init__(self, connection: AsyncConnection[Any], tenant_id: UUID | None, *, single: bool) -> None:
        self._connection = connection
        self._tenant = None if tenant_id is None else str(tenant_id)
        self._single = single

    async def all[R](self, row: type[R], query: LiteralString, params: Params) -> list[R]:
        """Return all rows of a query."""
        make_row: Any = dict_row if row is dict else class_row(row)
        statement, names = numbered(query)
        values = [params[name] for name in names]
        with _unavailability(self._connection):
            return await self._fetch(make_row, statement, values)

    async def _fetch(self, make_row: Any, statement: LiteralString, values: list[Any]) -> list[Any]:
        async with AsyncRawCursor[Any](self._connection, row_factory=make_row) as cursor:
            if self._single and self._tenant is not None:
                # One round trip: between two syncs of a pipeline Postgres runs one implicit transaction,
                # so the tenant is set for this statement and for nothing after it.
                async with self._connection.pipeline():
                    await self._connection.execute(SET_TENANT, (self._tenant,))
                    await cursor.execute(statement, values, binary=True)
            else:
                await cursor.execute(statement, values, binary=True)
            return await cursor.fetchall() if cursor.description else []

    async def after[R](self, change: LiteralString, row: type[R], query: LiteralString, params: Params) -> list[R]:
        """Run `change`, then return the rows of a query with a new snapshot, in one round trip."""
        make_row: Any = dict_row if row is dict else class_row(row)
        first, second = numbered(change), numbered(query)
        with _unavailability(self._connection):
            async with AsyncRawCursor[R](self._connection, row_factory=make_row) as cursor:
                async with self._connection.pipeline():
                    await self._connection.execute(SET_TENANT, (self._tenant,))
                    async with AsyncRawCursor(self._connection) as changing:
                        await changing.execute(first[0], [params[name] for name in first[1]])
                    await cursor.execute(second[0], [params[name] for name in second[1]], binary=True)
                return await cursor.fetchall()

    async def one[R](self, row: type[R], query: LiteralString, params: Params) -> R | None:
        """Return the first row, or None."""
        rows = await self.all(row, query, params)
        return rows[0] if rows else None

    async def run(self, query: LiteralString, params: Params) -> None:
        """Run a statement and drop its rows."""
        await self.all(dict, query, params)


class Database:
    """A connection pool in one role. Open and close it in the same running loop.

    `statement` and `transaction` raise DatabaseUnavailable, and psycopg.Error for what another try would get again.
    """

    def __init__(self, url: str, *, role: Role = Role.APP, size: int = 8) -> None:
        self._role = role
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            open=False,
            configure=self._configure,
            timeout=10,
            reconnect_timeout=RECONNECT_WITHIN,
            kwargs=dict(CONNECTION),
        )

    async def open(self) -> None:
        """Start to connect, and return when Postgres has answered."""
        await self._pool.open(wait=True, timeout=RECONNECT_WITHIN)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def __aenter__(self) -> "Database":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def statement(self, tenant_id: UUID | None = None) -> AsyncIterator[Transaction]:
        """Yield a Transaction in which each statement is a transaction of its own, in one round trip."""
        async with self._connected() as connection:
            yield Transaction(connection, tenant_id, single=True)

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID | None = None) -> AsyncIterator[Transaction]:
        """Yield a Transaction whose statements commit together at the end of the block, or not at all."""
        async with self._connected() as connection, connection.transaction():
            if tenant_id is not None:
                await connection.execute(SET_TENANT, (str(tenant_id),))
            yield Transaction(connection, tenant_id, single=False)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        connection: AsyncConnection[Any] | None = None
        try:
            async with self._pool.connection() as connection:
                try:
                    yield connection
                except (DatabaseUnavailable, psycopg.Error) as error:
                    if error.sqlstate == READ_ONLY:
                        # A session stays read-only for its lifetime, and the others are as old: replace them all.
                        await self._pool.drain()
                    raise
        except psycopg.Error as error:
            if _is_unavailable(error, connection):
                raise DatabaseUnavailable(error) from error
            raise

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        connection.prepare_threshold = 0
        await connection.execute(sql.SQL("set role {}").format(sql.Identifier(self._role)))


async def retry_while_unavailable[T](attempt: Callable[[], Awaitable[T]], *, within: float) -> T:
    """Call `attempt`, and again for `within` seconds while Postgres is unavailable. It must be safe to repeat.

    Raises the error of the last try.
    """
    try:
        return await attempt()
    except DatabaseUnavailable as error:
        log.warning("postgres is away", trying_for=within, error=str(error))
    async for trial in AsyncRetrying(
        retry=retry_if_exception_type(DatabaseUnavailable),
        stop=stop_after_delay(within),
        wait=wait_exponential_jitter(initial=0.1, max=1),
        reraise=True,
    ):
        with trial:
            return await attempt()
    raise AssertionError("the last try either returns or raises")


async def connect(url: str) -> AsyncConnection[Any]:
    """Open a connection outside any pool, in the login's own role, for session state such as an advisory lock.

    The server checks the connection with keepalives, so that the locks of a lost machine are released within
    seconds.
    """
    connection = await psycopg.AsyncConnection.connect(url, **CONNECTION)
    if connection.info.host and not connection.info.host.startswith("/"):
        for name, value in SERVER_KEEPALIVE.items():
            await connection.execute("select set_config(%s, %s, false)", (name, value))
    return connection


NO_TABLES = "Postgres answers, but has none of our tables: run `recado migrate`"


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


async def problem(url: str, *, migrated: bool = True) -> str | None:
    """Return why Postgres cannot be used, without the password, or None. Waits up to five seconds.

    The schema must be one that this code works with, unless `migrated` is False.
    """
    try:
        async with asyncio.timeout(5), await connect(url) as connection:
            if not migrated:
                return None
            async with connection.cursor(row_factory=class_row(AppliedMigration)) as cursor:
                applied = await (await cursor.execute(migrations.APPLIED)).fetchall()
            return migrations.schema_problem(applied)
    except psycopg.errors.UndefinedTable:
        return NO_TABLES
    except psycopg.ProgrammingError as error:
        if error.sqlstate:
            return f"Postgres refuses: {error}"
        # Its text quotes the URL, and with it the password.
        return "DATABASE_URL is malformed: it must look like postgresql://user:password@host/recado"
    except (OSError, psycopg.Error, TimeoutError) as error:
        return f"Postgres does not answer: {error or type(error).__name__}"


def require(url: str) -> None:
    """Raise ConfigurationError when Postgres cannot be used. Call it before the event loop starts."""
    found = asyncio.run(problem(url))
    if found:
        raise ConfigurationError(found)
