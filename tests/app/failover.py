"""Make Postgres read-only and writable again, as a failover does to the sessions of the former primary."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.reusable_database import CUT_CONNECTIONS


@contextmanager
def read_only(database_url: str) -> Iterator[None]:
    """Make the database read-only for new sessions, and end the open ones. Writable again after the block."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(f"alter database {name} set default_transaction_read_only = on".encode())
        connection.execute(CUT_CONNECTIONS, (name,))
        try:
            yield
        finally:
            connection.execute(f"alter database {name} reset default_transaction_read_only".encode())


@contextmanager
def demoted(database_url: str) -> Iterator[None]:
    """Make the server read-only for all sessions, the open ones too. Writable again after the block."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute("alter system set default_transaction_read_only = on")
        connection.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("alter system reset default_transaction_read_only")
            connection.execute("select pg_reload_conf()")
