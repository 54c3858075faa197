"""Fake ports, contexts and a local server for the tests of tools."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from manifest.compile_tools import make_tool, resolve_tool
from manifest.tool_sections import McpServerSection, ToolSection
from tools.base import Tool
from tools.ports import HttpClient, LocalPorts, Slot, SlotUnavailable, ToolContext, Unreachable

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
SECRETS = {"SHOP": "s3cr3t/väl ue"}
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
"""Still March 2 in São Paulo."""


class NoHttp:
    """An HTTP client that reaches nothing."""

    async def request(self, *_: object, **__: object) -> NoReturn:
        """Raise Unreachable."""
        raise Unreachable("no network", sent=False)


@dataclass
class FakeCalendar:
    """A calendar with one slot. Records what was searched."""

    searches: list[tuple[date, int, int]] = field(default_factory=list)
    taken: bool = False

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Return the one slot."""
        self.searches.append((first, days, limit))
        return [Slot("sala@x", "sala", NOW.astimezone(SAO_PAULO) + timedelta(hours=12))]

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Book a slot now, unless `taken` is set."""
        if self.taken:
            raise SlotUnavailable("somebody else has just booked that time")
        return Slot(slot_id, "sala", NOW.astimezone(SAO_PAULO))


async def run_locally(tool: Tool, ports: LocalPorts, **arguments: Any) -> Any:
    """Return the result of a local tool, with the ports that its needs grant."""
    context = ToolContext(NOW, SAO_PAULO, NoHttp(), ports, granted=tool.needs)
    return await tool.run(context, tool.parse(arguments))


class StaticResolver(AbstractResolver):
    """A DNS resolver with a fixed table. A `_` in a keyword is a dot of the name."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = {name.replace("_", "."): values for name, values in addresses.items()}

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError."""
        if host not in self.addresses:
            raise OSError(None, "no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=6, flags=0)
            for address in self.addresses[host]
        ]

    async def close(self) -> None:
        """Do nothing."""


def make_context(http_client: HttpClient, secrets: Mapping[str, str] = SECRETS) -> ToolContext:
    """Return the context of a remote call."""
    now = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
    return ToolContext(now, ZoneInfo("UTC"), http_client, key="call-1", secrets=secrets)


def tool_from_yaml(
    section: Mapping[str, Any],
    files: Mapping[str, str] | None = None,
    mcp: Mapping[str, Mapping[str, Any]] | None = None,
) -> Tool:
    """Return the tool that a section of YAML defines."""
    servers = {name: McpServerSection.model_validate(server) for name, server in (mcp or {}).items()}
    made = ToolSection.model_validate({"description": "A tool.", **section})
    return make_tool("t", made, servers, resolve_tool(made, files or {}))


@dataclass
class RecordedRequest:
    """A request that the server received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class RecordingServer:
    """A server on 127.0.0.1 that records its requests. It uses `answers` in turn, and repeats the last one."""

    url: str = ""
    requests: list[RecordedRequest] = field(default_factory=list)
    answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request and answer it."""
        self.requests.append(
            RecordedRequest(request.method, request.raw_path, dict(request.headers), await request.read())
        )
        return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)

    def answer_with(self, *answers: Any) -> None:
        """Set the answers. Each is a JSON value, a pair of status and JSON value, or a handler."""
        self.answers = [answer if callable(answer) else _answer(answer) for answer in answers]


def _answer(answer: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    status, value = answer if isinstance(answer, tuple) else (200, answer)

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return handle


async def abort_connection(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def run_server() -> AsyncIterator[RecordingServer]:
    """Run a server on a free port."""
    server = RecordingServer()
    application = web.Application(client_max_size=10_000_000)
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
