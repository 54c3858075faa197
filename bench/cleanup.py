"""How a command of the bench ends: on success, on an error, on Ctrl-C and on SIGTERM."""

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

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


@asynccontextmanager
async def cancel_on_sigterm() -> AsyncIterator[None]:
    """Cancel the block on SIGTERM, as Ctrl-C does, so that its `finally` clauses end the processes it started."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextlib.contextmanager
def remove_server_data(folder: Path) -> Iterator[None]:
    """Remove the data of the embedded servers when the block ends.

    For root the servers keep their data outside of the folder, and the folder has links to it. Both are removed.
    """
    try:
        yield
    finally:
        for server in (*folder.glob("postgres-*"), *folder.glob("valkey")):
            shutil.rmtree(server.resolve(), ignore_errors=True)
            with contextlib.suppress(OSError):
                server.unlink()


def run_command(command: Callable[[], None]) -> None:
    """Run a command of the bench, and exit.

    Exits with 1 when a server, a simulator or a process of Recado did not start, and with 130 when it was interrupted.
    All other exit codes are the command's own.
    """
    try:
        command()
    except (RecadoError, EmbeddedError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted: there is no result; everything that was started has been ended", err=True)
        sys.exit(EXIT_INTERRUPTED)
