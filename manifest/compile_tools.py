"""Compile the sections of tenants' own tools to tools."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from manifest.document_source import place_of, read_documents
from manifest.tool_sections import HttpSection, McpSection, McpServerSection, OpenApiSection, ToolSection
from manifest.yaml_source import Location
from tools.base import Tool
from tools.builtin.request_human import handoff_tool
from tools.kinds.fixed_arguments import FixedArguments, FixedProblem, FixedRequest, without_fixed
from tools.kinds.http import WITH_BODY, HttpPolicy, HttpTemplate, RequestMaker, request_parser, request_runner
from tools.kinds.json_schema import SchemaProblem, arguments_parser, plain_schema
from tools.kinds.mcp import McpServer, mcp_runner
from tools.kinds.openapi import find_operation
from tools.kinds.openapi_document import Documents, OpenApiProblem
from tools.kinds.openapi_request import Operation
from tools.kinds.python import ToolNotInstalled, load_tool
from tools.kinds.result_rendering import ResultRendering
from tools.kinds.templates import (
    Template,
    TemplateProblem,
    body_templates,
    parse_body_template,
    parse_header_templates,
    parse_template,
    parse_url_template,
)
from tools.names import nearest
from tools.ports import JSON, ToolContext

RETRIES = 2
ENVELOPE = 2_500
"""Characters that a result has besides the part that `result.limit` is about: a status and notes, or an error."""

NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class ToolProblem(ValueError):
    """A problem of a tool. `location` is its place within the section."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location
        self.message = message


@dataclass(frozen=True)
class ResolvedTool:
    """The part of a tool that takes long to read and to check: its schema, or its OpenAPI operation."""

    schema: dict[str, Any] = field(default_factory=lambda: NO_PARAMETERS)
    operation: Operation | None = None


def resolve_tool(section: ToolSection, files: Mapping[str, str], documents: Documents | None = None) -> ResolvedTool:
    """Read and check what a section refers to. Raises ToolProblem.

    `files` are the tenant's, text by path. `documents` are those of the same files, so that tools share what was read.
    """
    if section.openapi is not None:
        documents = documents or read_documents(files)
        return ResolvedTool(operation=replace(_operation(section.openapi, files, documents), headers={}))
    try:
        return ResolvedTool(plain_schema(NO_PARAMETERS if section.parameters is None else section.parameters))
    except SchemaProblem as problem:
        raise ToolProblem(("parameters", *problem.where), str(problem)) from None


def make_tool(
    name: str, section: ToolSection, mcp_servers: Mapping[str, McpServerSection], resolved: ResolvedTool
) -> Tool:
    """Return the tool of a section. Raises ToolProblem."""
    if section.python is not None:
        return _python_tool(name, section, section.python)
    if section.openapi is not None:
        assert resolved.operation is not None
        operation = replace(resolved.operation, headers=_openapi_headers(section.openapi))
        policy = _policy(section, reads=operation.method == "GET")
        description = section.description or operation.description
        if not section.openapi.fixed:
            return _request_tool(name, section, description, operation.schema, policy, operation)
        fixed = _fixed(("openapi", "with"), section.openapi.fixed)
        schema = _told(("openapi", "with"), operation.schema, section.openapi.fixed)
        return _request_tool(name, section, description, schema, policy, FixedRequest(operation, fixed))
    if section.mcp is not None:
        return _mcp_tool(name, section, section.mcp, resolved.schema, mcp_servers)
    if section.handoff is not None:
        return handoff_tool(name, section.description or "", resolved.schema, arguments_parser(resolved.schema))
    assert section.http is not None
    return _http_tool(name, section, section.http, resolved.schema)


def mcp_server(section: McpServerSection) -> McpServer:
    """Return the server of a section under `mcp`. Raises ToolProblem."""
    if section.url is not None:
        url = _templated(("url",), parse_url_template, section.url)
        if url.arguments or url.secrets or url.trusted:
            raise ToolProblem(("url",), "a server's address has no holes: secrets go into `headers`")
    headers = _without_arguments(("headers",), _templated(("headers",), parse_header_templates, section.headers))
    texts = {key: _templated(("env", key), parse_template, value) for key, value in section.env.items()}
    return McpServer(section.url, headers, section.command, _without_arguments(("env",), texts))


def _http_tool(name: str, section: ToolSection, http: HttpSection, schema: dict[str, Any]) -> Tool:
    url = _templated(("http", "url"), parse_url_template, http.url)
    headers = _templated(("http", "headers"), parse_header_templates, http.headers)
    made = HttpTemplate(http.method, url, headers, _templated(("http", "body"), parse_body_template, http.body))
    properties: Mapping[str, Any] = schema.get("properties", {})
    for argument in sorted(made.arguments - properties.keys()):
        raise ToolProblem(("http",), f"`{{{argument}}}` is not among the parameters{nearest(argument, properties)}")
    for argument in sorted(url.path_arguments):
        if argument not in schema.get("required", ()) and "default" not in properties[argument]:
            raise ToolProblem(("http", "url"), f"`{{{argument}}}` stands in the path: list it under `required`")
    rest = properties.keys() - made.arguments
    if rest and (http.method not in WITH_BODY or http.body is not None):
        where = ("parameters", "properties", min(rest))
        raise ToolProblem(where, f"`{{{min(rest)}}}` is not used: write it in the url, a header or the body")
    policy = _policy(section, reads=http.method == "GET")
    return _request_tool(
        name, section, section.description or "", schema, policy, replace(made, body_arguments=frozenset(rest))
    )


def _openapi_headers(openapi: OpenApiSection) -> dict[str, Template]:
    where = ("openapi", "headers")
    return _without_arguments(where, _templated(where, parse_header_templates, openapi.headers))


def _operation(openapi: OpenApiSection, files: Mapping[str, str], documents: Documents) -> Operation:
    headers, path, where = _openapi_headers(openapi), openapi.file, ("openapi", "operation")
    if path not in files:
        raise ToolProblem(where, f"there is no file `{path}`{nearest(path, files)}")
    try:
        return find_operation(documents, path, openapi.name, openapi.server, headers)
    except OpenApiProblem as problem:
        if problem.node is not None:
            message = f"{place_of(documents, problem.node)}: {problem.message}"
        else:
            message = problem.message if problem.message.startswith(path) else f"{path}: {problem.message}"
        raise ToolProblem(where, message) from None


def _mcp_tool(
    name: str,
    section: ToolSection,
    mcp: McpSection,
    schema: dict[str, Any],
    servers: Mapping[str, McpServerSection],
) -> Tool:
    if mcp.server not in servers:
        raise ToolProblem(
            ("mcp", "server"), f"there is no server `{mcp.server}` under `mcp`{nearest(mcp.server, servers)}"
        )
    try:
        server = mcp_server(servers[mcp.server])
    except ToolProblem as problem:
        path = ".".join(["mcp", mcp.server, *map(str, problem.location)])
        raise ToolProblem(("mcp", "server"), f"`{path}`: {problem}") from None
    for argument in mcp.fixed:
        if argument in schema.get("properties", {}):
            raise ToolProblem(("mcp", "with", argument), f"`{argument}` is fixed here: leave it out of the parameters")
    policy, server = _policy(section, reads=False), replace(server, fixed=_fixed(("mcp", "with"), mcp.fixed))
    run = mcp_runner(server, mcp.tool, policy)
    parse = arguments_parser(schema)
    return _tool(name, section, section.description or "", schema, policy, run, parse, server)


def _fixed(where: Location, values: Mapping[str, Any]) -> FixedArguments:
    body = {name: _templated((*where, name), parse_body_template, value) for name, value in values.items()}
    for name, value in body.items():
        for text in body_templates(value):
            _without_arguments(where, {name: text})
    return FixedArguments(body)


def _told(where: Location, schema: dict[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema that models are told: without what is fixed."""
    try:
        return without_fixed(schema, fixed)
    except FixedProblem as problem:
        raise ToolProblem((*where, *problem.where), str(problem)) from None


def _python_tool(name: str, section: ToolSection, entry_point: str) -> Tool:
    try:
        tool = load_tool(entry_point)
    except ToolNotInstalled as problem:
        raise ToolProblem(("python",), str(problem)) from None
    approval = tool.approval or section.approval == "required"
    return replace(tool, name=name, description=section.description or tool.description, approval=approval)


def _request_tool(
    name: str, section: ToolSection, description: str, schema: dict[str, Any], policy: HttpPolicy, maker: RequestMaker
) -> Tool:
    parse = request_parser(maker, arguments_parser(schema))
    return _tool(name, section, description, schema, policy, request_runner(maker, policy), parse, maker)


def _tool(
    name: str,
    section: ToolSection,
    description: str,
    schema: dict[str, Any],
    policy: HttpPolicy,
    run: Callable[[ToolContext, Any], Awaitable[JSON]],
    parse: Callable[[JSON], Any],
    values: RequestMaker | McpServer,
) -> Tool:
    return Tool(
        name,
        description,
        schema,
        "write" if policy.write else "read",
        run,
        parse,
        remote=True,
        idempotent=section.idempotent,
        approval=section.approval == "required",
        secrets=values.secrets,
        trusted=values.trusted,
        result_limit=section.result.limit + ENVELOPE,
    )


def _policy(section: ToolSection, *, reads: bool) -> HttpPolicy:
    write = not reads if section.effects is None else section.effects == "write"
    idempotent = section.idempotent or not write
    if section.retries and not idempotent:
        message = "what writes is sent again only if the other side honours the Idempotency-Key: `idempotent: true`"
        raise ToolProblem(("retries",), message)
    retries = section.retries if section.retries is not None else RETRIES if idempotent else 0
    timeout = section.http.timeout if section.http is not None and section.http.timeout else section.timeout
    return HttpPolicy(
        write, section.idempotent, retries, timeout, ResultRendering(section.result.select, section.result.limit)
    )


def _templated[T, V](where: Location, make: Callable[[V], T], value: V) -> T:
    try:
        return make(value)
    except TemplateProblem as problem:
        raise ToolProblem(where, str(problem)) from None


def _without_arguments(where: Location, texts: dict[str, Template]) -> dict[str, Template]:
    for name, text in texts.items():
        if text.arguments:
            allowed = "only `${secret:NAME}` and trusted values, such as `${contact.phone}`"
            raise ToolProblem((*where, name), f"no `{{{min(text.arguments)}}}` here: {allowed}")
    return texts
