"""The `recado` command as a shell runs it: a process of its own that knows of its environment what a test says."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 50.0
"""Seconds after which a test gives up waiting for a command."""

OURS = ("RECADO_", "DATABASE_", "REDIS_", "TWILIO_", "OPENAI_", "GROQ_", "GOOGLE_")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(command: Sequence[str], *, typed: str = "", **environment: str) -> Done:
    """Runs Python to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**inherited, "PYTHONUTF8": "1", **environment},
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        # Without a terminal, so that what is asked for without echo is not asked of whoever runs the tests.
        start_new_session=True,
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


def recado(*arguments: str, typed: str = "", **environment: str) -> Done:
    """Runs `recado`, which explains whatever fails, and never with a traceback."""
    done = run(["-m", "cli", *arguments], typed=typed, **environment)
    assert "Traceback" not in done.out + done.err, done.err
    return done


def refused(*arguments: str, typed: str = "", **environment: str) -> str:
    """What `recado` says when it must fail with an explanation."""
    done = recado(*arguments, typed=typed, **environment)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    return done.err
