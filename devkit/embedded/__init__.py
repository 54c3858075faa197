"""Embedded Postgres 18 (with pgvector) and Valkey from wheels, for the demo and the tests, on Linux and macOS.

The servers are children of this process, listen on 127.0.0.1 only, ask for a random password, and end when this
process ends, however it ends. Production sets DATABASE_URL and REDIS_URL instead and never comes here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devkit.embedded.postgres import Postgres
from devkit.embedded.server_files import EmbeddedError
from devkit.embedded.valkey import Valkey

__all__ = ["EmbeddedError", "Postgres", "Servers", "Valkey", "servers"]


@dataclass(frozen=True, slots=True)
class Servers:
    """The two running servers; the URLs carry the passwords and stay the same when a server is killed and restarted."""

    postgres: Postgres
    valkey: Valkey

    @property
    def database_url(self) -> str:
        """`postgresql://` URL of the created database, as superuser."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """`redis://` URL of the Valkey database 0."""
        return self.valkey.url


@contextmanager
def servers(
    data_dir: Path, *, durable: bool = True, database: str = "recado", max_connections: int = 200
) -> Iterator[Servers]:
    """Run both servers on `data_dir` (made if missing, kept afterwards) while the block runs.

    `durable=False` trades every guarantee against a power cut for speed and is for tests. Raises EmbeddedError when a
    server is not installed, does not start, or when another process runs on the same folder.
    """
    postgres = Postgres(data_dir, durable=durable, database=database, max_connections=max_connections)
    valkey = Valkey(data_dir, durable=durable)
    with ExitStack() as stack:
        for server in (valkey, postgres):
            stack.callback(server.stop)
            server.start()
        yield Servers(postgres, valkey)
