"""Tools that are operations of an OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from manifest.compile_tools import ToolProblem
from tests.tools.fake_ports import SECRETS, RecordingServer, make_context, tool_from_yaml
from tools.base import InvalidArguments, Tool
from tools.kinds import openapi
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON

FILES = {"shop.yaml": (Path(__file__).parent / "shop.yaml").read_text()}
KEY = {"X-Api-Key": "${secret:SHOP}"}


def operation(operation_id: str, server: RecordingServer | None = None, **changes: Any) -> Tool:
    """Return the tool of an operation."""
    section = {"operation": f"shop.yaml#{operation_id}", "headers": KEY}
    if server is not None:
        section["server"] = f"{server.url}/v1/"
    return tool_from_yaml({"description": None, "openapi": section, **changes}, FILES)


async def run_tool(tool: Tool, http_client: GuardedHttpClient, **arguments: Any) -> JSON:
    """Return the result of the tool."""
    return await tool.run(make_context(http_client), tool.parse(arguments))


async def test_the_document_defines_the_body(server: RecordingServer, http_client: GuardedHttpClient) -> None:
    server.answer_with((201, {"id": "1"}))
    tool = operation("createOrder", server)
    assert (tool.effects, tool.description, tool.secrets) == ("write", "Orders products.", frozenset({"SHOP"}))
    body = tool.parameters["properties"]["body"]
    assert tool.parameters["required"] == ["body"]
    assert body["properties"] == {
        "product": {"type": "string"},
        "note": {"type": ["string", "null"], "maxLength": 20},
        "amount": {"type": "integer", "exclusiveMinimum": 0},
    }
    assert body["required"] == ["product"], "the server makes the id"
    assert (await run_tool(tool, http_client, body={"product": "x", "note": None}))["status"] == 201
    seen = server.requests[0]
    assert (seen.method, seen.path, json.loads(seen.body)) == ("POST", "/v1/orders", {"product": "x", "note": None})
    assert seen.headers["Idempotency-Key"] == "call-1"
    assert seen.headers["X-Api-Key"].encode("utf-8", "surrogateescape").decode() == SECRETS["SHOP"]


async def test_the_document_defines_the_place_of_parameters(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with([])
    tool = operation("listOrders", server)
    assert tool.effects == "read"
    assert sorted(tool.parameters["properties"]) == ["X-Unit", "filter_status", "ids", "where"]
    arguments = {"filter_status": ["open", "paid"], "ids": [1, 2], "where": {"a": "&"}, "X-Unit": "u"}
    await run_tool(tool, http_client, **arguments)
    query = "filter%5Bstatus%5D=open&filter%5Bstatus%5D=paid&ids=1%2C2&where=%7B%22a%22%3A%20%22%26%22%7D"
    assert server.requests[0].path == f"/v1/orders?{query}"
    assert server.requests[0].headers["X-Unit"] == "u"


async def test_a_parameter_of_the_path_stays_in_its_segment(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    tool = operation("getOrder", server, description="Looks an order up.")
    assert tool.description == "Looks an order up."
    assert tool.parameters["properties"] == {"id": {"type": "string", "description": "The order."}}
    await run_tool(tool, http_client, id="a b?c")
    assert server.requests[0].path == "/v1/orders/a%20b%3Fc"
    for id_ in ("..", "a/b", ""):
        with pytest.raises(InvalidArguments):
            tool.parse({"id": id_})


async def test_two_parameters_with_one_name_get_two_names(
    server: RecordingServer, http_client: GuardedHttpClient
) -> None:
    server.answer_with({})
    await run_tool(operation("deleteOrder", server), http_client, id="a", query_id=7)
    assert (server.requests[0].method, server.requests[0].path) == ("DELETE", "/v1/orders/a?id=7")


def test_the_tenants_server_replaces_the_documents() -> None:
    document = YAML(typ="safe").load(FILES["shop.yaml"])
    tool = openapi.find_operation(document, "getOrder")
    assert tool.request({"id": "1"}, {}).url == "https://shop.example/v1/orders/1"
    tool = openapi.find_operation(document, "getOrder", "https://other.example:8443/v2/")
    assert tool.request({"id": "1"}, {}).url == "https://other.example:8443/v2/orders/1"


def test_a_recursive_schema_is_cut_off() -> None:
    body = operation("plantTree").parameters["properties"]["body"]
    assert body["properties"]["children"] == {"type": "array", "items": {}}


@pytest.mark.parametrize(
    ("operation_id", "message"),
    [
        ("getOrdr", "there is no operation `getOrdr`: did you mean `getOrder`"),
        ("upload", "its body is multipart/form-data"),
        ("bomb", "too large"),
        ("elsewhere", "a reference must stay within the file"),
        ("nowhere", "`#/components/schemas/Gone` does not exist"),
        ("login", "`session` is required, and is sent as a cookie"),
        ("odd", "do not match"),
        ("broken", "is not valid OpenAPI"),
    ],
)
def test_an_operation_that_cannot_be_a_tool_is_refused(operation_id: str, message: str) -> None:
    with pytest.raises(ToolProblem, match=message) as raised:
        operation(operation_id)
    assert raised.value.location == ("openapi", "operation")
    assert raised.value.message.startswith("shop.yaml: ")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("swagger: '2.0'", "not an OpenAPI document of version 3"),
        ("- 1", "not an OpenAPI document"),
        ("a: [", "line 1: "),
        ("{", "line 1: "),
        ("{openapi: 3.0.0, paths: {/a: {get: {operationId: x}}}}", "names no server"),
        ("{openapi: 3.1.0, servers: [{url: /v1}], paths: {/a: {get: {operationId: x}}}}", "the server `/v1`"),
        ("{openapi: 3.1.0, servers: [{url: 'https://{a}/'}], paths: {/a: {get: {operationId: x}}}}", "the server"),
        ("a: &a {b: 1}\nc: {<<: *a}", "line 2: `<<` is not supported"),
        ("openapi: 3.0.0\npaths: 1", "no operation"),
    ],
)
def test_an_invalid_document_is_refused(document: str, message: str) -> None:
    with pytest.raises(ToolProblem, match=message):
        tool_from_yaml({"openapi": "a.yaml#x"}, {"a.yaml": document})


def test_a_missing_document_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(ToolProblem, match=r"there is no file `shp.yaml`: did you mean `shop.yaml`"):
        tool_from_yaml({"openapi": "shp.yaml#getOrder"}, FILES)


def test_a_document_may_be_json() -> None:
    paths = {"/a": {"get": {"operationId": "x"}}}
    document = {"openapi": "3.1.0", "servers": [{"url": "https://a.example"}], "paths": paths}
    assert tool_from_yaml({"openapi": "a.json#x"}, {"a.json": json.dumps(document)}).effects == "read"


def test_invalid_json_is_refused() -> None:
    for text, message in (('{"openapi": ', "Expecting value"), ("[" * 200_000, "nested too deeply")):
        with pytest.raises(ToolProblem, match=message):
            tool_from_yaml({"openapi": "a.json#x"}, {"a.json": text})
