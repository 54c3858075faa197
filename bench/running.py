"""The life of a run: it ends in good order on SIGTERM too, and leaves no data behind."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def until_terminated() -> AsyncIterator[None]:
    """SIGTERM cancels the block, as Ctrl-C does, so that everything it has started is ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextlib.contextmanager
def disposable(folder: Path) -> Iterator[None]:
    """Removes the servers' data afterwards. As root they keep it elsewhere, and the folder has links to it."""
    try:
        yield
    finally:
        for server in (*folder.glob("postgres-*"), *folder.glob("valkey")):
            shutil.rmtree(server.resolve(), ignore_errors=True)
            with contextlib.suppress(OSError):
                server.unlink()


def remove(folder: Path) -> None:
    """Removes a folder of a run with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
