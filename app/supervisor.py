"""Start and supervise child processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from app import parent_watchdog
from app.errors import RecadoError

log = structlog.get_logger()

END_SECONDS = 10.0
"""Seconds that a process has to end before it is killed."""


class ParentWatchdog:
    """A helper process that ends a server when this process is gone."""

    def __init__(self, polite: signal.Signals) -> None:
        arguments = [str(os.getpid()), str(int(polite)), str(END_SECONDS)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", parent_watchdog.__file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self.pipe = self._process.stdin

    def dismiss(self) -> None:
        """End the helper and leave the server alone."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that is told to end when this process is gone, even after kill -9."""
    watchdog = ParentWatchdog(signal.SIGTERM)
    process = subprocess.Popen(command, start_new_session=True, **options)
    watchdog.pipe.write(b"%d" % process.pid)
    watchdog.pipe.flush()
    _watchdogs[process.pid] = watchdog
    return process


def forget(process: subprocess.Popen[bytes]) -> None:
    """Dismiss the watchdog of a process that has ended."""
    watchdog = _watchdogs.pop(process.pid, None)
    if watchdog is not None:
        watchdog.dismiss()


_watchdogs: dict[int, ParentWatchdog] = {}


class Child:
    """A child process whose output goes to a log. `wait_until_ready` is for those that print a line when they are."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, *, cwd: Path | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0

    def start(self) -> None:
        """Start the process, and return at once. Its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._from = log.tell()
            self._process = spawn(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
            )

    def wait_until_ready(self, timeout: float = 30.0) -> str:
        """Return the line that says that the process is ready. Raises RecadoError with the end of the log otherwise."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            lines = self.output().splitlines()
            line = next((line for line in lines if " ready" in line and not line.startswith("{")), None)
            if line is not None:
                return line
            if not self.alive:
                break
            time.sleep(0.01)
        raise self.failed_start()

    def failed_start(self) -> RecadoError:
        """Return the error of a process that did not start, with the end of its log."""
        tail = "\n".join(self.output().splitlines()[-15:])
        return RecadoError(f"{self.name} did not start; its log {self.log} ends with:\n{tail}")

    def output(self) -> str:
        """Return the output since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. The process must have been started."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def stop(self, timeout: float = 30.0) -> int | None:
        """Ask the process to end, and wait until it has ended, as `wait` does."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 30.0) -> int | None:
        """Return the exit code, after killing the process when it runs for another `timeout` seconds.

        Return None for a process that was not started.
        """
        if self._process is None:
            return None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        forget(self._process)
        return self._process.returncode


class Supervisor:
    """Runs a process for each command: restarts those that die, and ends all on a signal."""

    def __init__(self, commands: Sequence[Sequence[str]], *, pass_fds: Sequence[int] = ()) -> None:
        """Every process inherits the descriptors `pass_fds`."""
        self._commands = commands
        self._descriptors = pass_fds
        self._processes: list[subprocess.Popen[bytes] | None] = []
        self._stopping = threading.Event()

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Run until all processes have ended after SIGTERM or SIGINT. `started` is called when all have begun."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self._processes = [self._start(command) for command in self._commands]
        if started is not None:
            started()
        while not self._stopping.wait(0.2):
            for position, process in enumerate(self._processes):
                if process is None or process.poll() is not None:
                    if process is not None:
                        log.error("process died", pid=process.pid, code=process.returncode)
                        forget(process)
                    time.sleep(0.1)
                    self._processes[position] = self._start(self._commands[position])
        running = [process for process in self._processes if process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            process.wait()
            forget(process)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """Return the process, or None when the machine has no room for it at the moment."""
        try:
            return spawn(command, pass_fds=self._descriptors)
        except OSError as error:
            log.error("process not started", error=error.strerror)
            return None
