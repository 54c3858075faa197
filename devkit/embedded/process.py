"""One server process: start, readiness, stop, kill, and its end together with its parent."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from app.supervisor import END_SECONDS, ParentWatchdog
from devkit.embedded import server_files
from devkit.embedded.server_files import EmbeddedError

START_SECONDS = 60.0  # crash recovery of a big database takes long
POLL_SECONDS = 0.003
PORT_TRIES = 5
TAIL_LINES = 15
LOG_BYTES = 10_000_000
DISK_FULL_BYTES = 1_000_000

# Below the ephemeral ports of Linux (32768) and macOS (49152): a client that keeps calling a dead server on an
# ephemeral port can be given that very port as its own, connects to itself and keeps the server from coming back.
PORTS = range(20_000, 32_000)

# The shell tells the watchdog its pid and then becomes the server, so no server runs without the watchdog knowing it.
TELL_AND_BECOME = 'echo $$; exec "$@" >&2'


class PortTakenError(EmbeddedError):
    """Another process listens on the port."""


class Server(ABC):
    """A server process on a data folder of its own; not thread-safe. `port` 0 chooses a free one at the first start."""

    title: ClassVar[str]
    ready_text: ClassVar[bytes]
    polite: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, name: str, port: int, *, durable: bool) -> None:
        self.port = port
        self.durable = durable
        self.password = ""
        self.folder = data_dir / name
        self._data_dir = data_dir
        self._name = name
        self._choose_port = port == 0
        self._account = server_files.account()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: ParentWatchdog | None = None
        self._owner_lock: int | None = None
        self._owner_pid = 0
        self._log_start = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL with the password; known once started."""

    @property
    def pid(self) -> int | None:
        """The process id while the server runs, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _prepare(self, server_lock: int) -> None:
        """Bring the data folder to a state the server starts on; nothing else uses it meanwhile."""

    @abstractmethod
    def _greet(self) -> None:
        """Speak to the server once, to know that it lets us in."""

    def _config(self) -> bytes:
        return b""

    def start(self) -> None:
        """Start and wait until the server answers; does nothing if it runs. Restarts on the same port after `kill`.

        Raises EmbeddedError with the last lines of the server's log: it did not start, its port is taken, its folder
        is in use by another process or unsafe, the disk is full.
        """
        if self.pid is not None:
            return
        try:
            self._take_folder()
            with self._server_lock() as server_lock:
                self._prepare(server_lock)
                self._launch(server_lock)
            self._greet()
        except OSError as error:
            self._abandon()
            raise EmbeddedError(f"{self.title} in {self.folder}: {error}") from error
        except BaseException:
            self._abandon()
            raise

    def stop(self) -> None:
        """End the server in good order, by force after 10 s, and give its folder free; does nothing in a fork of us."""
        if os.getpid() != self._owner_pid:
            return
        if self._process is not None and self.pid is not None:
            self._process.send_signal(self.polite)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self._abandon()

    def kill(self) -> None:
        """SIGKILL the server and its children, as a crash would; `start` brings it back on the same URL."""
        if self._process is not None:
            if self._process.poll() is None:
                kill_with_children(self._process.pid)
            self._process.wait()
            self._process = None
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def _abandon(self) -> None:
        self.kill()
        if self._owner_lock is not None:
            os.close(self._owner_lock)
            self._owner_lock = None

    def _take_folder(self) -> None:
        if self._owner_lock is None:
            self.folder = server_files.server_folder(self._data_dir, self._name, disposable=not self.durable)
            file = self.folder / "owner.lock"
            fd = server_files.lock(file)
            if fd is None:
                raise EmbeddedError(
                    f"{self.title}: folder {self._data_dir / self._name} is in use by process "
                    f"{file.read_text() or '(starting)'}: stop it or use another data folder"
                )
            self._owner_lock, self._owner_pid = fd, os.getpid()
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        with self._open_log() as log:
            if os.fstat(log).st_size > LOG_BYTES:
                os.ftruncate(log, 0)

    @contextlib.contextmanager
    def _server_lock(self) -> Iterator[int]:
        # All processes of a server inherit this lock, so holding it proves that none is left of an earlier run.
        # Checking a pid would not: it may be a zombie or belong to another program by now.
        deadline = time.monotonic() + END_SECONDS + 5
        while (fd := server_files.lock(self.folder / "server.lock")) is None:
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.title}: a server of an earlier run still uses {self.folder}: end it first")
            time.sleep(POLL_SECONDS)
        try:
            yield fd
        finally:
            os.close(fd)

    def _launch(self, server_lock: int) -> None:
        for tries_left in reversed(range(PORT_TRIES)):
            if self._choose_port:
                self.port = free_port()
            try:
                self._spawn(server_lock)
                self._await_ready()
                break
            except PortTakenError:
                if not self._choose_port or not tries_left:
                    raise
                self.kill()
        self._choose_port = False

    def _spawn(self, server_lock: int) -> None:
        self.kill()  # forget one that ended by itself
        self._watchdog = ParentWatchdog(self.polite)
        command = ["/bin/sh", "-c", TELL_AND_BECOME, "sh", *self._command()]
        reader, writer = os.pipe()
        try:
            with open(writer, "wb") as config:
                config.write(self._config())
            self._process = self._popen(command, server_lock, stdin=reader, stdout=self._watchdog.pipe.fileno())
        finally:
            os.close(reader)

    def _popen(
        self, command: list[str], server_lock: int, *, stdin: int = subprocess.DEVNULL, stdout: int | None = None
    ) -> "subprocess.Popen[bytes]":
        switch = self._account.switch
        with self._open_log() as log:
            self._log_start = os.fstat(log).st_size
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
                cwd=self.folder,
                # our own environment holds API keys, and LC_ALL, TZ or PGDATA that change the server
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                pass_fds=(server_lock,),
                start_new_session=True,  # Ctrl-C is for us to handle first
                user=self._account.uid if switch else None,
                group=self._account.gid if switch else None,
                extra_groups=[] if switch else None,
                umask=0o077,
            )

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            code = self._process.poll()
            text = self._log()
            if code is None and self.ready_text in text:
                return
            if code is not None and b"Address already in use" in text:
                raise PortTakenError(f"{self.title}: port {self.port} of 127.0.0.1 is taken by another process")
            if code is not None:
                raise self._failure(f"ended at once (exit code {code})")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    @contextlib.contextmanager
    def _open_log(self) -> Iterator[int]:
        fd = os.open(self.folder / "server.log", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)

    def _log(self) -> bytes:
        with self._open_log() as log:
            return os.pread(log, LOG_BYTES, self._log_start)

    def _failure(self, what: str) -> EmbeddedError:
        full = " (its disk is full)" if shutil.disk_usage(self.folder).free < DISK_FULL_BYTES else ""
        tail = self._log().decode(errors="replace").splitlines()[-TAIL_LINES:]
        text = "\n".join([f"{self.title} in {self.folder} {what}{full}; last lines of its log:", *tail])
        return EmbeddedError(text.replace(self.password, "***") if self.password else text)


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise EmbeddedError(f"no free port of 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


def kill_with_children(pid: int) -> None:
    """SIGKILL a child process of ours and its children; each Postgres session leads a process group of its own."""
    os.kill(pid, signal.SIGSTOP)  # it can neither fork nor reap, so no child's pid can pass to another program
    while children := _living_children(pid):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)


def _living_children(parent: int) -> list[int]:
    if not Path("/proc/self/stat").exists():
        output = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,stat="], text=True)
        rows = [line.split() for line in output.splitlines()]
        return [int(row[0]) for row in rows if int(row[1]) == parent and not row[2].startswith("Z")]
    children = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, ppid = file.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state not in "ZX":
                children.append(int(file.parent.name))
    return children
