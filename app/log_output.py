"""Write log lines so that a failing output never reaches the code: what cannot be written is dropped and counted."""

import io
import os
import select
import threading
from typing import ClassVar, TextIO

PORTION = 4096
"""Bytes that a pipe takes at once when it is writable. POSIX guarantees 512, Linux 4096."""

PATIENCE = 0.05
"""Seconds to wait for a slow reader of a pipe. After a dropped line no line waits, until one is written again."""


class LogOutput(io.TextIOBase):
    """A stream that never raises and never waits for long. It writes to the descriptor of `stream`, if it has one.

    A buffered stream would keep what it could not write, and fail again with the next line. `stream` is None when the
    process was started without it.
    """

    dropped: ClassVar[int] = 0
    """The lines that this process has dropped."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._lock = threading.Lock()
        self._patience = PATIENCE
        self._torn = False

    def write(self, text: str) -> int:
        """Write whole lines, or drop them."""
        with self._lock:
            try:
                if self._descriptor is not None:
                    self._write_bytes(self._descriptor, text.encode(errors="backslashreplace"))
                elif self._stream is not None:
                    self._stream.write(text)
                    self._stream.flush()
                else:
                    count_dropped(text)
            except (OSError, ValueError):
                self._patience = 0.0
                count_dropped(text)
            else:
                self._patience = PATIENCE
        return len(text)

    def _write_bytes(self, descriptor: int, data: bytes) -> None:
        # The rest of a line that was written in part is lost, so the next one begins on a line of its own.
        rest = b"\n" + data if self._torn else data
        whole = len(rest)
        try:
            while rest:
                if not _is_writable(descriptor, self._patience):
                    raise BlockingIOError
                rest = rest[os.write(descriptor, rest[:PORTION]) :]
        finally:
            self._torn = 0 < len(rest) < whole or (self._torn and len(rest) == whole)


def count_dropped(text: str = "") -> None:
    """Count the lines of a text that is not written."""
    LogOutput.dropped += max(1, text.count("\n"))


def _is_writable(descriptor: int, patience: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(patience * 1000))


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def open_standard_descriptors() -> None:
    """Give a process that was started without stdin, stdout or stderr the null device in their place.

    Otherwise the next socket gets the number of the missing one, and what a library writes to stderr goes there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
