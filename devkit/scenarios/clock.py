"""An event loop with virtual time, in which hours pass in milliseconds.

Virtual time stands still while the loop waits for something real: an answer of Postgres, a thread, or a real model.
Otherwise it moves directly to the time of the next scheduled callback.
"""

import asyncio
import math
import selectors
import socket
from asyncio import SelectorEventLoop
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any

MAX_REAL_WAIT = 1.0
"""Real seconds that one call of `select` may block. Ctrl-C is handled between two calls."""


class _LoopbackBarrier:
    """A TCP connection of this process to itself. Its bytes arrive after all bytes that were sent before.

    A busy kernel delivers bytes between two sockets of one machine late. Virtual time must not move before they arrive.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._out = socket.create_connection(listener.getsockname())
            self._in, _ = listener.accept()
        self._out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self) -> None:
        """Wait until all bytes that were sent over loopback have arrived."""
        self._out.send(b".")
        self._in.recv(1)

    def close(self) -> None:
        """Close the connection."""
        self._out.close()
        self._in.close()


class _Selector(selectors.DefaultSelector):
    """Waits for real events only. Where the loop would sleep, it advances the virtual time instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop
        self._barrier = _LoopbackBarrier()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self._loop.waits_for_real_events or self._waits_to_write():
            return super().select(MAX_REAL_WAIT)
        self._barrier.wait()
        events = super().select(0)
        if not events:
            self._loop.advance(timeout)
        return events

    def close(self) -> None:
        """Close the selector and its connection."""
        super().close()
        self._barrier.close()

    def _waits_to_write(self) -> bool:
        """Return whether a socket is connecting, or has data that is not sent yet."""
        return any(key.events & selectors.EVENT_WRITE for key in list(self.get_map().values()))


class VirtualLoop(SelectorEventLoop):
    """An event loop for `asyncio.Runner(loop_factory=…)`. Its time begins at 0, and its clock at `starts`."""

    def __init__(self, starts: datetime) -> None:
        self._seconds = 0.0
        self._starts = starts
        self._watched: set[tuple[str, Any]] = set()
        self._threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._seconds

    def clock(self) -> datetime:
        """Return the virtual time as a date, for code that takes a Clock."""
        return self._starts + timedelta(microseconds=round(self._seconds * 1e6))

    def advance(self, seconds: float) -> None:
        """Move the time on. Callbacks that were scheduled meanwhile run next."""
        # Dates have microseconds. Rounded up, a row that is due at the new time is due.
        self._seconds = math.ceil((self._seconds + seconds) * 1e6) / 1e6

    def jump_to(self, moment: datetime) -> None:
        """Move the time to a later date at once. Periodic callbacks run once, so the system must be idle."""
        ahead = (moment - self.clock()).total_seconds()
        if ahead > 0:
            self.advance(ahead)

    @property
    def waits_for_real_events(self) -> bool:
        """Whether a watched socket or a thread takes real time."""
        return bool(self._watched) or self._threads > 0

    # psycopg calls these four while a query runs, because it reads its socket itself. The loop's own transports do not
    # call them.

    def add_reader[*Ts](self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """Add a reader. Time stands still until it is removed."""
        self._watched.add(("read", fd))
        super().add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """Remove a reader."""
        self._watched.discard(("read", fd))
        return super().remove_reader(fd)

    def add_writer[*Ts](self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """Add a writer. Time stands still until it is removed."""
        self._watched.add(("write", fd))
        super().add_writer(fd, callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """Remove a writer."""
        self._watched.discard(("write", fd))
        return super().remove_writer(fd)

    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run a function in a thread. Time stands still until it has finished."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_finished)
        return future

    def _thread_finished(self, _: "asyncio.Future[Any]") -> None:
        self._threads -= 1
