"""Start, stop and kill a server process, and end it when its parent ends."""

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

START_SECONDS = 60.0
"""The crash recovery of a large database takes long."""
POLL_SECONDS = 0.003
PORT_TRIES = 5
TAIL_LINES = 15
LOG_BYTES = 10_000_000
DISK_FULL_BYTES = 1_000_000

# Below the ephemeral ports of Linux (from 32768) and macOS (from 49152). A client that calls a stopped server on an
# ephemeral port can get this port as its own. It then connects to itself, and the server cannot bind the port again.
PORTS = range(20_000, 32_000)

# The shell reports its pid to the watchdog and then becomes the server, so the watchdog knows every server.
REPORT_PID_AND_EXEC = 'echo $$; exec "$@" >&2'


class PortTakenError(EmbeddedError):
    """Another process listens on the port."""


class ServerProcess(ABC):
    """A server process with a data folder of its own. Port 0 chooses a free one at the first start. Not thread-safe."""

    title: ClassVar[str]
    ready_text: ClassVar[bytes]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, name: str, port: int, *, durable: bool) -> None:
        self.port = port
        self.durable = durable
        self.password = ""
        self.folder = data_dir / name
        self._data_dir = data_dir
        self._name = name
        self._may_change_port = port == 0
        self._account = server_files.account()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: ParentWatchdog | None = None
        self._owner_lock: int | None = None
        self._owner_pid = 0
        self._log_start = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL with the password. It is complete after the first start."""

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _prepare(self, server_lock: int) -> None:
        """Prepare the data folder for a start. Called under the server's lock."""

    @abstractmethod
    def _check_login(self) -> None:
        """Connect once, to be sure that the password is accepted."""

    def _config(self) -> bytes:
        return b""

    def start(self) -> None:
        """Start the server and wait until it answers. A running server is left as it is.

        After `kill`, the server gets the same port. Raises EmbeddedError when the server does not start, for example
        because its port or its folder is in use. The text has the last lines of its log.
        """
        if self.pid is not None:
            return
        try:
            self._lock_folder()
            with self._server_lock() as server_lock:
                self._prepare(server_lock)
                self._launch(server_lock)
            self._check_login()
        except OSError as error:
            self._release()
            raise EmbeddedError(f"{self.title} in {self.folder}: {error}") from error
        except BaseException:
            self._release()
            raise

    def stop(self) -> None:
        """End the server, by SIGKILL after 10 s, and unlock its folder. Does nothing in a fork of this process."""
        if os.getpid() != self._owner_pid:
            return
        if self._process is not None and self.pid is not None:
            self._process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self._release()

    def kill(self) -> None:
        """End the server and its children by SIGKILL. `start` runs it again with the same URL."""
        if self._process is not None:
            if self._process.poll() is None:
                kill_with_children(self._process.pid)
            self._process.wait()
            self._process = None
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def _release(self) -> None:
        self.kill()
        if self._owner_lock is not None:
            os.close(self._owner_lock)
            self._owner_lock = None

    def _lock_folder(self) -> None:
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
        # All processes of a server inherit this lock. Who holds it knows that none of them is left from an earlier run.
        # A pid does not prove that: it may be a zombie's, or belong to another program by now.
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
            if self._may_change_port:
                self.port = free_port()
            try:
                self._spawn(server_lock)
                self._await_ready()
                break
            except PortTakenError:
                if not self._may_change_port or not tries_left:
                    raise
                self.kill()
        self._may_change_port = False

    def _spawn(self, server_lock: int) -> None:
        self.kill()  # Removes what is left of a server that ended by itself.
        self._watchdog = ParentWatchdog(self.stop_signal)
        command = ["/bin/sh", "-c", REPORT_PID_AND_EXEC, "sh", *self._command()]
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
                # This process's environment has API keys, and LC_ALL, TZ or PGDATA would change the server.
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                pass_fds=(server_lock,),
                start_new_session=True,  # Ctrl-C reaches this process only.
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
    """Return a port of 127.0.0.1 on which no process listens. Raises EmbeddedError."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise EmbeddedError(f"no free port of 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


def kill_with_children(pid: int) -> None:
    """End a child process and its children by SIGKILL. A signal to its group would miss the sessions of Postgres."""
    os.kill(pid, signal.SIGSTOP)  # Stopped, it cannot reap a child, so no child's pid can be reused.
    while children := _running_children(pid):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)


def _running_children(parent: int) -> list[int]:
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
