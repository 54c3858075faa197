"""`python -m bench.chaos.bad_machine --clock FILE --logs-fail-after 9 MODULE ARGUMENT…`: run a module on a bad machine.

Its clock is wrong, name servers do not answer for DEAD_NAMES, and after some seconds its logs cannot be written.
"""

import importlib.util
import os
import runpy
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click

DEAD_NAMES = ".dead"
"""Names that end so are looked up for DEAD_SECONDS, and then do not exist."""
DEAD_SECONDS = 30.0
FULL = "/dev/full"
"""A file on which every write fails, as on a full disk."""

PRELOAD = "LD_PRELOAD"
LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"


def write_clock(file: Path, seconds: float) -> None:
    """Let the processes that go by the file be some seconds ahead of the time, or behind it, within a second."""
    changed = file.with_suffix(".new")
    changed.write_text(f"{seconds:+.3f}")
    changed.replace(file)


def wrong_clock(file: Path) -> dict[str, str]:
    """Return the environment of a process whose clock goes by the file. Time that passes is measured rightly."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        raise click.ClickException("the package libfaketime is missing: run chaos with `just chaos`")
    return {
        PRELOAD: str(Path(found.origin).parent / LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _look_up(host: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(host, str) and host.endswith(DEAD_NAMES):
        time.sleep(DEAD_SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "the name servers do not answer")
    return _real_look_up(host, *arguments, **options)


_real_look_up = socket.getaddrinfo


def _let_logs_fail(seconds: float) -> None:
    failing = threading.Timer(seconds, os.dup2, (os.open(FULL, os.O_WRONLY), sys.stderr.fileno()))
    failing.daemon = True
    failing.start()


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--clock", required=True, type=click.Path(path_type=Path), help="The file that `write_clock` writes.")
@click.option("--logs-fail-after", type=float, help="Seconds. By default the logs can be written.")
@click.argument("module")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(clock: Path, logs_fail_after: float | None, module: str, arguments: tuple[str, ...]) -> None:
    """Run a module on a bad machine."""
    if PRELOAD not in os.environ:
        # The dynamic loader reads it when a program starts.
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], os.environ | wrong_clock(clock))
    socket.getaddrinfo = _look_up
    if logs_fail_after is not None:
        _let_logs_fail(logs_fail_after)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    command()
