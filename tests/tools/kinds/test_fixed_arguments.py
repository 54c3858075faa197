"""Arguments that the tenant fixes: no model is told of them, and none can change them."""

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifest.compile_tools import ToolProblem
from tests.tools import school
from tests.tools.fake_ports import LOOPBACK, RecordingServer, make_context, tool_from_yaml
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import ToolContext, Unreachable

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/contas/{conta}/mensagens": {
            "post": {
                "operationId": "enviar",
                "parameters": [{"name": "conta", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"de": {"type": "string"}, "texto": {"type": "string"}},
                                "required": ["de", "texto"],
                            }
                        }
                    },
                },
            }
        }
    },
}
FIXED = {"conta": "${secret:SHOP}", "body": {"de": "${contact.phone}"}}


def openapi_tool(server: str, **fixed: Any) -> Any:
    section = {"operation": "loja.json#enviar", "server": server, "with": fixed or FIXED}
    return tool_from_yaml({"openapi": section}, {"loja.json": json.dumps(DOCUMENT)})


def known(context: ToolContext) -> ToolContext:
    return replace(context, trusted={"contact.phone": "+5511990000001"})


async def test_an_openapi_request_is_completed(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with({"ok": True})
    tool = openapi_tool(server.url)
    body = tool.parameters["properties"]["body"]
    assert (list(tool.parameters["properties"]), list(body["properties"])) == (["body"], ["texto"])
    assert (tool.secrets, tool.trusted) == ({"SHOP"}, {"contact.phone"})
    context = known(make_context(http_client, {"SHOP": "AC1"}))
    await tool.run(context, tool.parse({"body": {"texto": "oi"}}))
    (request,) = server.requests
    assert request.path == "/contas/AC1/mensagens"
    assert json.loads(request.body) == {"texto": "oi", "de": "+5511990000001"}


async def test_what_is_not_known_is_not_sent(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    tool = openapi_tool(server.url)
    with pytest.raises(Unreachable, match=r"contact\.phone is not known"):
        await tool.run(make_context(http_client, {"SHOP": "AC1"}), tool.parse({"body": {"texto": "oi"}}))
    assert server.requests == []


def test_an_argument_that_there_is_not_is_a_problem_at_its_place() -> None:
    with pytest.raises(ToolProblem, match="there is no argument `txto`: did you mean `texto`") as raised:
        openapi_tool("https://a.example", body={"txto": "x"})
    assert raised.value.location == ("openapi", "with", "body", "txto")
    with pytest.raises(ToolProblem, match="only `\\$\\{secret:NAME\\}` and trusted values"):
        openapi_tool("https://a.example", conta="{conta}")


@pytest.fixture
async def programs() -> AsyncIterator[GuardedHttpClient]:
    async with GuardedHttpClient(allowed=LOOPBACK, programs=True) as client:
        yield client


async def test_an_mcp_call_is_completed(programs: GuardedHttpClient) -> None:
    mcp = {"school": {"command": [sys.executable, str(Path(school.__file__))]}}
    section = {"mcp": {"server": "school", "tool": "enrol", "with": {"name": "${contact.phone}"}}}
    tool = tool_from_yaml({**section, "parameters": {"type": "object"}}, mcp=mcp)
    result = await tool.run(known(make_context(programs, {})), tool.parse({}))
    assert "+5511990000001" in json.dumps(result)
    named = {"type": "object", "properties": {"name": {"type": "string"}}}
    with pytest.raises(ToolProblem, match="`name` is fixed here: leave it out of the parameters"):
        tool_from_yaml({**section, "parameters": named}, mcp=mcp)
