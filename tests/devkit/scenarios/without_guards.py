"""Run scenarios against copies of the sources, each without one guard.

The libraries are imported once. Every run is a fork that imports its own copy of our packages. The program reads a list
of runs from standard input, as JSON: `{"sources": …, "scenario": …}`. It writes the exit code and the output of each
`recado tenants test` to standard output.
"""

import contextlib
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

OURS = ("cli", "devkit", "app", "manifest", "graphs", "tools", "tenants", "migrations")

AT_ONCE = 2


def start(sources: str, scenario: str) -> tuple[int, int]:
    """Start a run in a fork. Return its process id, and the pipe that its outcome comes through."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            json.dump(_run(sources, scenario), pipe)
        os._exit(0)
    os.close(write)
    return child, read


def finish(child: int, read: int) -> dict[str, Any]:
    """Wait for a run, and return its exit code and output."""
    with os.fdopen(read) as pipe:
        outcome: dict[str, Any] = json.loads(pipe.read() or "{}")
    os.waitpid(child, 0)
    return outcome


def _run(sources: str, scenario: str) -> dict[str, Any]:
    sys.path.insert(0, sources)
    command: Any = importlib.import_module("cli.scenarios").command
    assert Path(str(importlib.import_module("app").__file__)).is_relative_to(sources)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            command([f"{sources}/tenants/clinica-sorriso", "--scenario", scenario])
        except SystemExit as ended:
            return {"code": ended.code, "output": output.getvalue()}
        except BaseException as error:
            return {"code": None, "output": f"{output.getvalue()}{type(error).__name__}: {error}"}
    raise AssertionError("the command ends by SystemExit")


def _forget_ours() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in OURS:
            del sys.modules[name]


def main() -> None:
    """Run all scenarios, two at a time."""
    sys.dont_write_bytecode = True
    importlib.import_module("devkit.scenarios.suite")
    importlib.import_module("graphs.providers.openai")
    _forget_ours()
    runs = json.load(sys.stdin)
    outcomes: list[dict[str, Any]] = []
    for number in range(0, len(runs), AT_ONCE):
        started = [start(**run) for run in runs[number : number + AT_ONCE]]
        outcomes += [finish(*one) for one in started]
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
