"""The only access to Postgres. `Database.transaction` and `Database.statement` are the only commits.

Every transaction has a role that row-level security binds. `recado_app` sees one tenant. `recado_system`, for sweeps
and schedules, sees all tenants. Neither owns anything. The logins own nothing, too, and may take one role each.

Role and tenant are set for one transaction, in the round trip of its first statement. No session has a state of its
own, so that a pooler may give each transaction another session.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from enum import StrEnum
from functools import cache
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg import AsyncConnection, AsyncRawCursor, AsyncTransaction
from psycopg.rows import class_row, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from app.config import Settings
from app.fair_slots import FairSlots

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

SET_LOCAL: LiteralString = """
select set_config('role', %s, true), set_config('app.tenant_id', %s, true), set_config('plan_cache_mode', %s, true)
"""
"""Sets role, tenant and how statements are planned, for one transaction.

A tenant's statements name what they look for by ids: one plan is as good for one id as for another, and planning the
commit of a turn for its values takes longer than running it. Statements without a tenant look for what is due among the
rows of all: there Postgres compares the plans.
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
    """The database role of a transaction."""

    APP = "recado_app"
    SYSTEM = "recado_system"


async def set_local(connection: AsyncConnection[Any], role: Role, tenant_id: UUID | None = None) -> None:
    """Set role and tenant until the end of the connection's transaction."""
    of_tenant = (role, str(tenant_id), "force_generic_plan")
    await connection.execute(SET_LOCAL, (role, "", "auto") if tenant_id is None else of_tenant)


@cache
def numbered(query: LiteralString) -> tuple[LiteralString, list[str]]:
    """Return the query with Postgres's own placeholders, and the names of their values.

    Cached, because the driver would convert the long statements at every call.
    """
    names = list(dict.fromkeys(PLACEHOLDER.findall(query)))
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    return PLACEHOLDER.sub(lambda match: numbers[match[1]], query), names


class Transaction:
    """Runs statements in a role for one tenant, or for all as `Role.SYSTEM`.

    Rows are instances of the class that the caller names. Every method raises DatabaseUnavailable, and psycopg.Error
    for what another try would get again.
    """

    def __init__(self, connection: AsyncConnection[Any], role: Role, tenant_id: UUID | None, *, single: bool) -> None:
        self._connection = connection
        self._role = role
        self._tenant_id = tenant_id
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
            if self._single:
                # One round trip: between two syncs of a pipeline Postgres runs one implicit transaction,
                # so role and tenant are set for this statement and for nothing after it.
                async with self._connection.pipeline():
                    await set_local(self._connection, self._role, self._tenant_id)
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
                    await set_local(self._connection, self._role, self._tenant_id)
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
    """A connection pool whose transactions have one role. Open and close it in the same running loop.

    `statement` and `transaction` raise DatabaseUnavailable, and psycopg.Error for what another try would get again.
    Without `prepares` no statement is prepared by name, for poolers that would run it in another session.
    """

    def __init__(self, url: str, *, role: Role = Role.APP, size: int = 8, prepares: bool = True) -> None:
        self._role = role
        # In the pool's own queue a tenant with hundreds of turns would keep the others waiting.
        self._slots = FairSlots(size, size if role is Role.SYSTEM else max(1, size - 1))
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            open=False,
            timeout=10,
            reconnect_timeout=RECONNECT_WITHIN,
            kwargs={**CONNECTION, "prepare_threshold": 0 if prepares else None},
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
        async with self._connected(tenant_id) as connection:
            yield Transaction(connection, self._role, tenant_id, single=True)

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID | None = None) -> AsyncIterator[Transaction]:
        """Yield a Transaction whose statements commit together at the end of the block, or not at all."""
        async with self._connected(tenant_id) as connection, AsyncExitStack() as block:
            async with connection.pipeline():
                await block.enter_async_context(AsyncTransaction(connection))
                await set_local(connection, self._role, tenant_id)
            yield Transaction(connection, self._role, tenant_id, single=False)

    @asynccontextmanager
    async def _connected(self, tenant_id: UUID | None) -> AsyncIterator[AsyncConnection[Any]]:
        connection: AsyncConnection[Any] | None = None
        try:
            async with self._slots.slot(tenant_id), self._pool.connection() as connection:
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


def app_database(settings: Settings, *, size: int = 8) -> Database:
    """Return the pool that works for one tenant at a time."""
    return Database(settings.database_url, role=Role.APP, size=size, prepares=settings.prepares)


def system_database(settings: Settings, *, size: int = 1) -> Database:
    """Return the pool that sees all tenants."""
    return Database(settings.system_database_url, role=Role.SYSTEM, size=size, prepares=settings.prepares)


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
    """Open a connection outside any pool, in the login's own role. Only its session may have a state: advisory locks.

    The server checks the connection with keepalives, so that the locks of a lost machine are released within
    seconds.
    """
    connection = await psycopg.AsyncConnection.connect(url, **CONNECTION)
    if connection.info.host and not connection.info.host.startswith("/"):
        for name, value in SERVER_KEEPALIVE.items():
            await connection.execute("select set_config(%s, %s, false)", (name, value))
    return connection
