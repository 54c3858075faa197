"""The life of a run: it ends in good order on SIGTERM too, and leaves no data behind."""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from app.errors import RecadoError
from devkit.embedded import EmbeddedError


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


def to_the_end(command: Callable[[], None]) -> None:
    """Runs a driver's command. Exit codes beyond its own: 1 something did not start, 130 ended early."""
    try:
        command()
    except (RecadoError, EmbeddedError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("ended early", err=True)
        sys.exit(130)


def remove(folder: Path) -> None:
    """Removes a folder of a run with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
