"""Run the `recado` command as a process, with the settings that a test gives in its environment."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphs.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
PATIENCE = 50.0
"""Seconds after which a test stops waiting for a command and fails."""

OURS = ("RECADO_", "DATABASE_", "REDIS_", "TWILIO_", *(f"{name.upper()}_" for name in PROVIDERS))
"""The prefixes of the variables that a command does not inherit from the test process."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(command: Sequence[str], *, typed: str = "", **environment: str) -> Done:
    """Run Python with arguments until it ends. `typed` is its standard input."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**inherited, "PYTHONUTF8": "1", **environment},
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        # Without a terminal, so that a prompt for a password does not reach the person who runs the tests.
        start_new_session=True,
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


def recado(*arguments: str, typed: str = "", **environment: str) -> Done:
    """Run `recado`. It must not print a traceback."""
    done = run(["-m", "cli", *arguments], typed=typed, **environment)
    assert "Traceback" not in done.out + done.err, done.err
    return done


def refused(*arguments: str, typed: str = "", **environment: str) -> str:
    """Run `recado`, which must fail with an error. Return the error."""
    done = recado(*arguments, typed=typed, **environment)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    return done.err
