"""Share one load between all who want the same thing at the same time."""

import asyncio
from collections.abc import Awaitable, Callable


class SingleFlight[Key, Value]:
    """Runs one load for each key at a time."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Future[Value]] = {}

    async def run(self, key: Key, load: Callable[[], Awaitable[Value]]) -> Value:
        """Return the result of the load that runs for the key, or of `load`. A failure is for all who wait for it.

        One who gives up waiting does not take the load from the others.
        """
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.ensure_future(load())
            running.add_done_callback(lambda ended: self._end(key, ended))
        return await asyncio.shield(running)

    def _end(self, key: Key, ended: "asyncio.Future[Value]") -> None:
        del self._running[key]
        if not ended.cancelled():
            # Marks the failure as seen, also when nobody waits any more.
            ended.exception()
