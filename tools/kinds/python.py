"""Tools of installed Python packages: entry points of the group `recado.tools`, each of which is a Tool.

A package's tool declares its `needs` in the same way as a built-in tool.
"""

from importlib.metadata import entry_points

from tools.base import Tool
from tools.names import nearest

GROUP = "recado.tools"


class ToolNotInstalled(ValueError):
    """The tool is not installed, or it does not load. The text says why."""


def load_tool(name: str) -> Tool:
    """Return the installed tool with this name. Raises ToolNotInstalled."""
    installed = entry_points(group=GROUP)
    points = [point for point in installed if point.name == name]
    if not points:
        hint = nearest(name, installed.names)
        raise ToolNotInstalled(f"no package offers `{name}` as an entry point of `{GROUP}`{hint}")
    try:
        tool = points[0].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise ToolNotInstalled(f"`{points[0].value}` does not load: {error}") from None
    if not isinstance(tool, Tool):
        raise ToolNotInstalled(f"`{points[0].value}` is not a Tool")
    return tool
