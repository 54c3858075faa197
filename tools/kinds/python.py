"""Tools that a deployment installs as Python packages: entry points of the group `recado.tools`, each a Tool."""

from importlib.metadata import entry_points

from tools.base import Tool
from tools.names import nearest

GROUP = "recado.tools"


class ToolNotInstalled(ValueError):
    """There is no such tool on this machine, or it does not load. The message says which."""


def load_tool(name: str) -> Tool:
    """The installed tool of that name. Raises NotInstalled."""
    found = entry_points(group=GROUP)
    named = [point for point in found if point.name == name]
    if not named:
        hint = nearest(name, found.names)
        raise ToolNotInstalled(f"no package offers `{name}` as an entry point of `{GROUP}`{hint}")
    try:
        tool = named[0].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise ToolNotInstalled(f"`{named[0].value}` does not load: {error}") from None
    if not isinstance(tool, Tool):
        raise ToolNotInstalled(f"`{named[0].value}` is not a Tool")
    return tool
