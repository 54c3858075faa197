"""An event loop whose time is virtual: hours pass in milliseconds, and no faster than the work in hand.

Time stands still while anything real is awaited: an answer of Postgres, a thread, a provider's real model. Only when
nothing of that kind is under way does it move, to the next thing that the loop was asked to do later.
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

LONGEST_REAL_WAIT = 1.0
"""Real seconds between looks at what is awaited, so that Ctrl-C is heard."""


class _Road:
    """A TCP connection of this process to itself: what it carries arrives after all that was sent before.

    Bytes between two sockets of one machine are not there at once when the kernel is busy, and time must not move on
    while they travel.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._out = socket.create_connection(listener.getsockname())
            self._in, _ = listener.accept()
        self._out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def travel(self) -> None:
        """Returns when everything has arrived."""
        self._out.send(b".")
        self._in.recv(1)

    def close(self) -> None:
        """Closes the connection."""
        self._out.close()
        self._in.close()


class _Selector(selectors.DefaultSelector):
    """Waits for what is real; where the loop would sleep, it moves the loop's time on instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop
        self._road = _Road()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self._loop.awaits_something_real or self._connects():
            return super().select(LONGEST_REAL_WAIT)
        self._road.travel()
        events = super().select(0)
        if not events:
            self._loop.pass_time(timeout)
        return events

    def close(self) -> None:
        """Closes the selector and what it has opened."""
        super().close()
        self._road.close()

    def _connects(self) -> bool:
        """Whether a socket waits to be connected, or to be rid of what it has to send."""
        return any(key.events & selectors.EVENT_WRITE for key in list(self.get_map().values()))


class VirtualLoop(SelectorEventLoop):
    """Use it through `asyncio.Runner(loop_factory=…)`. Its time begins at 0 and, as a date, at `starts`."""

    def __init__(self, starts: datetime) -> None:
        self._seconds = 0.0
        self._starts = starts
        self._watched: set[tuple[str, Any]] = set()
        self._threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._seconds

    def clock(self) -> datetime:
        """The same as a date, for everything that takes a Clock."""
        return self._starts + timedelta(microseconds=round(self._seconds * 1e6))

    def pass_time(self, seconds: float) -> None:
        """Moves on. Whatever was to happen meanwhile happens next."""
        # Dates have microseconds: rounded up, what was due at one of them is due.
        self._seconds = math.ceil((self._seconds + seconds) * 1e6) / 1e6

    def leap(self, moment: datetime) -> None:
        """Moves to a date at once, if it is ahead. For when all is quiet: what repeats itself happens once only."""
        ahead = (moment - self.clock()).total_seconds()
        if ahead > 0:
            self.pass_time(ahead)

    @property
    def awaits_something_real(self) -> bool:
        """Whether something is under way that takes real time."""
        return bool(self._watched) or self._threads > 0

    # Who calls these four from outside waits for a socket that this loop's own transports do not serve: psycopg,
    # for as long as a query runs.

    def add_reader[*Ts](self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As the loop's own, and time stands still until the reader is removed."""
        self._watched.add(("read", fd))
        super().add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """As the loop's own."""
        self._watched.discard(("read", fd))
        return super().remove_reader(fd)

    def add_writer[*Ts](self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As the loop's own, and time stands still until the writer is removed."""
        self._watched.add(("write", fd))
        super().add_writer(fd, callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """As the loop's own."""
        self._watched.discard(("write", fd))
        return super().remove_writer(fd)

    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """As the loop's own, and time stands still until the thread has finished."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_finished)
        return future

    def _thread_finished(self, _: "asyncio.Future[Any]") -> None:
        self._threads -= 1
