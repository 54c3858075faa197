"""The built-in tools, which every tenant may name in its YAML.

To add one: write a module in tools/builtin/ that defines `TOOL`, and add its name to MODULES.
"""

from importlib import import_module

from tools.base import Tool

MODULES = (
    "find_slots",
    "book_slot",
    "request_human",
    "remember_fact",
    "search_knowledge",
)
"""The order of the reference page."""


def _load(module: str) -> Tool:
    tool = import_module(f"tools.builtin.{module}").TOOL
    if not isinstance(tool, Tool) or tool.name != module:
        raise TypeError(f"tools/builtin/{module}.py: TOOL must be a Tool with the name {module!r}")
    return tool


BUILTIN: dict[str, Tool] = {module: _load(module) for module in MODULES}
