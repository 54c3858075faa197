"""Outages of servers that keep running: they hang, or Postgres takes no writes. Each ends with its block."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import LiteralString

import psutil
import psycopg

from bench.storage import TERMINATE

READ_ONLY = "default_transaction_read_only"
DISK_FULL: LiteralString = """
    create function full_disk() returns trigger language plpgsql security definer
    as $$ begin raise sqlstate '53100' using message = 'could not extend file: No space left on device'; end $$
"""
ROAD: tuple[LiteralString, ...] = ("inbox", "outbox", "conversations", "turns", "checkpoints")


@contextmanager
def read_only_database(owner_url: str) -> Iterator[None]:
    """Let new sessions write nothing, and end the open ones, as after a failover to a standby."""
    with _writing(owner_url) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set {READ_ONLY} = on".encode())
        connection.execute(TERMINATE.format(connections="true"))
        try:
            yield
        finally:
            connection.execute(f"alter database {name} reset {READ_ONLY}".encode())


@contextmanager
def read_only_server(owner_url: str) -> Iterator[None]:
    """Let no session write, those that are open neither, as when a primary is demoted."""
    with _writing(owner_url) as connection:
        connection.execute(f"alter system set {READ_ONLY} = on".encode())
        connection.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute(f"alter system reset {READ_ONLY}".encode())
            connection.execute("select pg_reload_conf()")


@contextmanager
def full_disk(owner_url: str, tables: Iterable[str] = ROAD) -> Iterator[None]:
    """Let each write to the tables fail as on a full disk."""
    with _writing(owner_url) as connection:
        connection.execute(DISK_FULL)
        for table in tables:
            connection.execute(
                f"create trigger full_disk before insert or update on {table} execute function full_disk()".encode()
            )
        try:
            yield
        finally:
            connection.execute("drop function full_disk cascade")


@contextmanager
def older_schema(owner_url: str) -> Iterator[None]:
    """Let the newest migration be missing, as for processes of a release that came before its migration."""
    with _writing(owner_url) as connection:
        missing = connection.execute(
            "delete from schema_migrations where name = (select max(name) from schema_migrations) returning *"
        ).fetchone()
        try:
            yield
        finally:
            assert missing is not None, "the tables are migrated"
            connection.execute(
                f"insert into schema_migrations values ({', '.join(['%s'] * len(missing))})".encode(), missing
            )


@contextmanager
def hung(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes with their children. They keep their connections, and answer nothing."""
    processes = [each for pid in pids for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    try:
        for process in processes:
            _signal(process.pid, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            _signal(process.pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def _writing(owner_url: str) -> Iterator[psycopg.Connection]:
    """Yield a connection that may write, whatever the others may."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        yield connection
