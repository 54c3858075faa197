"""Run Postgres 18 (with pgvector) and Valkey from wheels, for the demo and the tests, on Linux and macOS.

The servers are children of this process. They listen on 127.0.0.1 only, and require a random password. They end when
this process ends, also when it is killed. Production sets DATABASE_URL and REDIS_URL instead.
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
class EmbeddedServers:
    """The two running servers. Their URLs contain the passwords, and stay the same after a kill and restart."""

    postgres: Postgres
    valkey: Valkey

    @property
    def database_url(self) -> str:
        """The `postgresql://` URL of the created database, as superuser."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """The `redis://` URL of the Valkey database 0."""
        return self.valkey.url


@contextmanager
def servers(
    data_dir: Path, *, durable: bool = True, database: str = "recado", max_connections: int = 200
) -> Iterator[EmbeddedServers]:
    """Run both servers during the block, with their data in `data_dir`. The folder is kept afterwards.

    `durable=False` is for tests: it is faster, and a power cut loses the data. Raises EmbeddedError when a server is
    not installed, does not start, or when another process uses the folder.
    """
    postgres = Postgres(data_dir, durable=durable, database=database, max_connections=max_connections)
    valkey = Valkey(data_dir, durable=durable)
    with ExitStack() as stack:
        for server in (valkey, postgres):
            stack.callback(server.stop)
            server.start()
        yield EmbeddedServers(postgres, valkey)
