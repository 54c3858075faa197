"""Tools of MCP servers. Their declarations are in the tenant's manifest, so that a server cannot change them later."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tools.kinds.fixed_arguments import FixedArguments
from tools.kinds.http import RETRY_PAUSE, HttpPolicy
from tools.kinds.result_rendering import MAX_ERROR_LENGTH, redact
from tools.kinds.result_shortening import shorten
from tools.kinds.templates import Template, fill_headers
from tools.kinds.trusted_values import trusted_arguments
from tools.ports import JSON, HttpClient, ToolContext, Unreachable

_IMPORTER = ThreadPoolExecutor(1, "mcp-import")


@runtime_checkable
class McpHttpClient(HttpClient, Protocol):
    """The HTTP client that MCP sessions need. `programs`: whether programs may be started on this machine."""

    @property
    def programs(self) -> bool: ...

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host. Raises OSError for an unknown host and for a forbidden address."""
        ...


@dataclass(frozen=True)
class McpServer:
    """An MCP server: either a `url`, or a `command` that starts it with the variables in `environment`.

    `fixed` are arguments of each call.
    """

    url: str | None = None
    headers: Mapping[str, Template] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    environment: Mapping[str, Template] = field(default_factory=dict)
    fixed: FixedArguments = field(default_factory=lambda: FixedArguments({}))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the server receives."""
        texts = [*self.headers.values(), *self.environment.values()]
        return self.fixed.secrets.union(*(text.secrets for text in texts))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the server receives."""
        texts = [*self.headers.values(), *self.environment.values()]
        return self.fixed.trusted.union(*(text.trusted for text in texts))


@dataclass(frozen=True)
class McpCall:
    """One complete call. `key` is the idempotency key; a call that only reads has none."""

    tool: str
    arguments: Mapping[str, Any]
    key: str | None
    url: str | None
    headers: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class McpAnswer:
    """The answer of a server. `refused`: the server reported that the call failed."""

    value: Any
    refused: bool


def mcp_runner(server: McpServer, tool: str, policy: HttpPolicy) -> Callable[[ToolContext, Any], Awaitable[JSON]]:
    """Return the `run` of a tool; `tool` is its name at the server."""

    async def run(context: ToolContext, arguments: Any) -> JSON:
        return await call_tool(context, server, tool, arguments, policy)

    return run


async def call_tool(
    context: ToolContext, server: McpServer, tool: str, arguments: Mapping[str, Any], policy: HttpPolicy
) -> JSON:
    """Call the tool and return the result for the model. Raises Unreachable; its text holds no secret."""
    mcp_call = _build_call(context, server, tool, arguments, policy)
    try:
        answer = await _call_with_retries(context, mcp_call, policy)
    except Unreachable as error:
        raise Unreachable(redact(str(error), context.secrets), sent=error.sent) from None
    if answer.refused:
        explanation, note = shorten(redact(answer.value, context.secrets), MAX_ERROR_LENGTH)
        return {"error": explanation} | ({"note": note} if note else {})
    return policy.rendering.render(answer.value, context.secrets)


def _build_call(
    context: ToolContext, server: McpServer, tool: str, arguments: Mapping[str, Any], policy: HttpPolicy
) -> McpCall:
    trusted = trusted_arguments(server.trusted, context.trusted)
    headers = fill_headers(server.headers, trusted, context.secrets)
    environment = fill_headers(server.environment, trusted, context.secrets)
    if any("${" in value for value in environment.values()):
        # The MCP client would replace `${NAME}` with variables of our process.
        raise Unreachable("a secret for the program's environment holds `${`", sent=False)
    key = context.key if policy.write else None
    if key is not None:
        headers["Idempotency-Key"] = key
    complete = server.fixed.added_to({**arguments, **trusted}, context.secrets)
    sent = {name: value for name, value in complete.items() if name not in trusted}
    return McpCall(tool, sent, key, server.url, headers, server.command, environment)


async def _call_with_retries(context: ToolContext, mcp_call: McpCall, policy: HttpPolicy) -> McpAnswer:
    http_client = context.http_client
    if not isinstance(http_client, McpHttpClient) or (mcp_call.command and not http_client.programs):
        raise Unreachable("this deployment does not start programs for MCP", sent=False)
    # Imported on first use and in a thread, because the import takes half a second and most tenants have no MCP tools.
    sessions = await asyncio.get_running_loop().run_in_executor(
        _IMPORTER, importlib.import_module, "tools.kinds.mcp_session"
    )
    clock = asyncio.get_running_loop().time
    deadline = clock() + policy.timeout
    retries = policy.retries if policy.idempotent or not policy.write else 0
    sent, reason = context.begun_before, "no answer in time"
    for attempt in range(1 + retries):
        if attempt:
            await asyncio.sleep(RETRY_PAUSE)
        left = deadline - clock()
        if attempt and left <= 0:
            break
        try:
            answer: McpAnswer = await sessions.call_in_session(http_client, mcp_call, left)
        except Unreachable as error:
            sent, reason = sent or error.sent, str(error)
            continue
        if answer.refused and sent and policy.write:
            # A refusal of the second attempt does not mean that the first was refused.
            reason = "the server refused a second attempt"
            continue
        return answer
    raise Unreachable(reason, sent=sent)
