"""Child processes with a log, a readiness line and an orderly end."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.embedded.process import Guard
from app.errors import RecadoError


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a process that is asked to end when this one is gone, even if this one was killed."""
    guard = Guard(signal.SIGTERM)
    process = subprocess.Popen(command, start_new_session=True, **options)
    guard.pipe.write(b"%d" % process.pid)
    guard.pipe.flush()
    _guards[process.pid] = guard
    return process


def forget(process: subprocess.Popen[bytes]) -> None:
    """Dismisses the guard of a process that has ended."""
    guard = _guards.pop(process.pid, None)
    if guard is not None:
        guard.dismiss()


_guards: dict[int, Guard] = {}


class Child:
    """A process of ours that says in its first line of output when it is ready."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = list(command)
        self._environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0

    def start(self) -> None:
        """Starts it, and returns at once. Its output is added to the log."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._from = log.tell()
            self._process = spawn(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self, timeout: float = 30.0) -> str:
        """The line that said so. Raises RecadoError with the end of the log when it does not come in time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            lines = self.output().splitlines()
            line = next((line for line in lines if " ready" in line and not line.startswith("{")), None)
            if line is not None:
                return line
            if not self.alive:
                break
            time.sleep(0.01)
        tail = "\n".join(self.output().splitlines()[-15:])
        raise RecadoError(f"{self.name} did not start; its log {self._log} ends with:\n{tail}")

    def output(self) -> str:
        """What it has written since its last start."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its id, once started."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Signals it, if it runs."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def stop(self, timeout: float = 30.0) -> int | None:
        """Asks it to end, waits, and then insists; its exit code."""
        if self._process is None:
            return None
        self.send(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        forget(self._process)
        return self._process.returncode
