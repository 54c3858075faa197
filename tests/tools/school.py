"""An MCP server: over stdio as a program, over HTTP as an application."""

import os
from typing import Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.transport_security import TransportSecuritySettings

# Behind a name that is not loopback's, the SDK would refuse what comes.
SCHOOL = FastMCP("school", transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
CALLS: list[tuple[str, Any]] = []


@SCHOOL.tool()
def find_class(year: int) -> dict[str, Any]:
    """Finds a class."""
    CALLS.append(("find_class", year))
    return {"year": year, "room": "B2"}


@SCHOOL.tool()
def enrol(name: str, ctx: Context[Any, Any, Any]) -> str:
    """Enrols a pupil, and says how it was called."""
    meta = ctx.request_context.meta
    headers = getattr(ctx.request_context.request, "headers", {})
    CALLS.append(("enrol", name))
    return f"{name}; {getattr(meta, 'recado/idempotency-key', None)}; {headers.get('authorization')}"


@SCHOOL.tool()
def environment() -> str:
    """What the program was given."""
    return ";".join(sorted(name for name in os.environ if "KEY" in name or "URL" in name)) + os.environ.get("PASS", "")


@SCHOOL.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("the school is closed")


@SCHOOL.tool()
def crash() -> str:
    """Ends the program."""
    os._exit(1)


@SCHOOL.tool()
def much() -> str:
    """More than anyone wants to read."""
    return "x" * 2_000_000


if __name__ == "__main__":
    SCHOOL.run("stdio")
