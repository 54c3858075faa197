"""The threads that everything in an event loop shares."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self


class SharedThreads(ThreadPoolExecutor):
    """The loop's default executor. Counts what is given to it."""

    calls = 0

    @classmethod
    def of_loop(cls) -> Self:
        """Replace the running loop's executor."""
        shared = cls(4)
        asyncio.get_running_loop().set_default_executor(shared)
        return shared

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Count the call."""
        self.calls += 1
        return super().submit(*args, **kwargs)
