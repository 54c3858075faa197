"""Look up host names in threads of their own, so that one tenant's dead name server delays only that tenant."""

import asyncio
import contextlib
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 64
PER_TENANT = 4
"""The maximum numbers of look-ups at once. A look-up cannot be cancelled, and may take a minute."""

FRESH = 10.0
"""The time in seconds that an answer is used."""
REMEMBERED = 1_000

Lookup = Callable[..., list[Any]]
"""A function with the interface of socket.getaddrinfo."""

Name = tuple[str, int]
"""A host and an address family."""

_tenant: ContextVar[str] = ContextVar("tenant of look-ups", default="")


@contextlib.contextmanager
def lookups_for(tenant: str) -> Iterator[None]:
    """Count the look-ups of the block for a tenant."""
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)


class HostResolver(AbstractResolver):
    """Looks up each host in at most one thread at a time, and only in threads of its own.

    A tenant has at most `per_tenant` of the `threads`. Who finds none free waits without one. A thread counts until
    the system has answered, even if nobody waits for the answer. Create it inside a running event loop, and close it.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        per_tenant: int = PER_TENANT,
        lookup: Lookup = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._per_tenant = per_tenant
        self._free = asyncio.Semaphore(threads)
        # A tenant's entry lives as long as one of its look-ups runs or waits.
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._running: dict[Name, asyncio.Future[list[Any]]] = {}
        self._answers: OrderedDict[Name, tuple[float, list[Any]]] = OrderedDict()
        self._executor = _DaemonThreads()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError."""
        name = (host, int(family))
        found = self._answer(name)
        if found is None and name not in self._running:
            await self._start(name)
            found = self._answer(name)
        if found is None:
            # The look-up goes on for the others who wait for it.
            found = await asyncio.shield(self._running[name])
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=of, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for of, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Forget the look-ups that run."""
        for running in self._running.values():
            running.cancel()

    def _answer(self, name: Name) -> list[Any] | None:
        until, found = self._answers.get(name, (0.0, None))
        return found if self._clock() < until else None

    async def _start(self, name: Name) -> None:
        """Wait for a free thread, and start the look-up, unless another tenant has done so meanwhile."""
        share = self._shares.setdefault(_tenant.get(), asyncio.Semaphore(self._per_tenant))
        with contextlib.ExitStack() as held:
            for threads in (share, self._free):
                await threads.acquire()
                held.callback(threads.release)
            if name in self._running or self._answer(name) is not None:
                return
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, self._lookup, name[0], None, name[1], socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
            )
            self._running[name] = running
            until_it_ends = held.pop_all()
        running.add_done_callback(lambda ended: self._end(name, ended, until_it_ends))

    def _end(self, name: Name, ended: "asyncio.Future[list[Any]]", held: contextlib.ExitStack) -> None:
        held.close()
        del self._running[name]
        if ended.cancelled() or ended.exception() is not None:
            return
        self._answers.pop(name, None)
        self._answers[name] = (self._clock() + FRESH, ended.result())
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)


class _DaemonThreads(Executor):
    """Starts a thread for each call. One that hangs does not delay the end of the process."""

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="look-up", daemon=True).start()
        return future
