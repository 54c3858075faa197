"""Compile the installed packages once, where Python is told not to write byte code.

Container images often set PYTHONDONTWRITEBYTECODE. Without byte code each of the many processes that the devkit starts
would compile LangGraph and the rest again, which takes three seconds.
"""

import compileall
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path


def compile_once(say: Callable[[str], None]) -> None:
    """Write the byte code of all installed packages, unless Python writes it itself or it exists."""
    spec = importlib.util.find_spec("langgraph.types")
    if not sys.dont_write_bytecode or spec is None or spec.origin is None:
        return
    if not Path(importlib.util.cache_from_source(spec.origin)).exists():
        say("compiling the installed packages, once")
        compileall.compile_dir(Path(spec.origin).parents[1], quiet=2, workers=0)
