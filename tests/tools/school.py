"""An MCP server. It runs as a program over stdio, or as an ASGI application over HTTP."""

import os
from base64 import b64encode
from typing import Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import AnyUrl

# The SDK would refuse requests whose Host header is not a loopback name.
SCHOOL = FastMCP("school", transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
CALLS: list[tuple[str, Any]] = []


@SCHOOL.tool()
def find_class(year: int) -> dict[str, Any]:
    """Find a class."""
    CALLS.append(("find_class", year))
    return {"year": year, "room": "B2"}


@SCHOOL.tool()
def enrol(name: str, ctx: Context[Any, Any, Any]) -> str:
    """Enrol a pupil, and return the metadata of the call."""
    meta = ctx.request_context.meta
    headers = getattr(ctx.request_context.request, "headers", {})
    CALLS.append(("enrol", name))
    return f"{name}; {getattr(meta, 'recado/idempotency-key', None)}; {headers.get('authorization')}"


@SCHOOL.tool()
def environment() -> str:
    """Return the variables of the environment whose names hold KEY or URL, and PASS."""
    return ";".join(sorted(name for name in os.environ if "KEY" in name or "URL" in name)) + os.environ.get("PASS", "")


@SCHOOL.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("the school is closed")


@SCHOOL.tool()
def crash() -> str:
    """End the program at once."""
    os._exit(1)


def _words() -> list[Any]:
    """Return one block of each kind."""
    key = AnyUrl("school://rules")
    return [
        TextContent(type="text", text="Hello", annotations=Annotations(audience=["user"], priority=0.1)),
        EmbeddedResource(type="resource", resource=TextResourceContents(uri=key, text='{"uniform": true}')),
        EmbeddedResource(
            type="resource",
            resource=BlobResourceContents(uri=key, mimeType="text/plain", blob=b64encode("às 8h".encode()).decode()),
        ),
        EmbeddedResource(
            type="resource", resource=BlobResourceContents(uri=key, mimeType="application/pdf", blob="AAAA")
        ),
        ResourceLink(type="resource_link", uri=key, name="rules", description="The rules."),
        ImageContent(type="image", data="AAAA", mimeType="image/png"),
        AudioContent(type="audio", data="AAAA", mimeType="audio/wav"),
    ]


@SCHOOL.tool(structured_output=False)
def show() -> list[Any]:
    """Return one block of each kind."""
    return _words()


@SCHOOL.tool(structured_output=False)
def rules() -> list[Any]:
    """Return a resource alone."""
    return _words()[1:2]


@SCHOOL.tool(structured_output=False)
def report() -> CallToolResult:
    """Return a structure, its copy as text, and a resource."""
    text = TextContent(type="text", text='{"grade": 9}')
    return CallToolResult(content=[text, _words()[1]], structuredContent={"grade": 9})


@SCHOOL.tool()
def much() -> str:
    """Return more than the client reads."""
    return "x" * 2_000_000


if __name__ == "__main__":
    SCHOOL.run("stdio")
