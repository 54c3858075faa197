"""Runs scenarios against copies of the sources in each of which one guard is missing.

The libraries are imported once, and every run is a fork that imports its own copy of ours. Reads a list of runs from
its standard input, as JSON: `{"sources": …, "scenario": …}`; writes the list of what `recado tenants test` ended with.
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


def run(sources: str, scenario: str) -> dict[str, Any]:
    """In a process of its own: exit code and output."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            json.dump(_run(sources, scenario), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found: dict[str, Any] = json.loads(pipe.read() or "{}")
    os.waitpid(child, 0)
    return found


def _run(sources: str, scenario: str) -> dict[str, Any]:
    sys.path.insert(0, sources)
    command: Any = importlib.import_module("cli.scenarios").command
    assert Path(str(sys.modules["app"].__file__)).is_relative_to(sources)
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
    """Runs all, one after the other."""
    sys.dont_write_bytecode = True
    importlib.import_module("devkit.scenarios.suite")
    importlib.import_module("graphs.providers.openai")
    _forget_ours()
    json.dump([run(**one) for one in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
