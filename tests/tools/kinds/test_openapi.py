"""Tools out of an OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from manifest.tool_sections import ToolProblem
from tests.tools.fake_ports import SECRETS, Server, context, tool
from tools.base import InvalidArguments, Tool
from tools.kinds import openapi
from tools.net.guarded_http import GuardedHttpClient
from tools.ports import JSON

FILES = {"shop.yaml": (Path(__file__).parent / "shop.yaml").read_text()}
KEY = {"X-Api-Key": "${secret:SHOP}"}


def operation(operation_id: str, server: Server | None = None, **changes: Any) -> Tool:
    """The operation's tool."""
    section = {"operation": f"shop.yaml#{operation_id}", "headers": KEY}
    if server is not None:
        section["server"] = f"{server.url}/v1/"
    return tool({"description": None, "openapi": section, **changes}, FILES)


async def run(made: Tool, http_client: GuardedHttpClient, **arguments: Any) -> JSON:
    """The tool's answer."""
    return await made.run(context(http_client), made.parse(arguments))


async def test_a_body_comes_out_of_the_document(server: Server, http_client: GuardedHttpClient) -> None:
    server.says((201, {"id": "1"}))
    made = operation("createOrder", server)
    assert (made.effects, made.description, made.secrets) == ("write", "Orders products.", frozenset({"SHOP"}))
    body = made.parameters["properties"]["body"]
    assert made.parameters["required"] == ["body"]
    assert body["properties"] == {
        "product": {"type": "string"},
        "note": {"type": ["string", "null"], "maxLength": 20},
        "amount": {"type": "integer", "exclusiveMinimum": 0},
    }
    assert body["required"] == ["product"], "the server makes the id"
    assert (await run(made, http_client, body={"product": "x", "note": None}))["status"] == 201
    seen = server.seen[0]
    assert (seen.method, seen.path, json.loads(seen.body)) == ("POST", "/v1/orders", {"product": "x", "note": None})
    assert seen.headers["Idempotency-Key"] == "call-1"
    assert seen.headers["X-Api-Key"].encode("utf-8", "surrogateescape").decode() == SECRETS["SHOP"]


async def test_parameters_go_where_the_document_says(server: Server, http_client: GuardedHttpClient) -> None:
    server.says([])
    made = operation("listOrders", server)
    assert made.effects == "read"
    assert sorted(made.parameters["properties"]) == ["X-Unit", "filter_status", "ids", "where"]
    arguments = {"filter_status": ["open", "paid"], "ids": [1, 2], "where": {"a": "&"}, "X-Unit": "u"}
    await run(made, http_client, **arguments)
    query = "filter%5Bstatus%5D=open&filter%5Bstatus%5D=paid&ids=1%2C2&where=%7B%22a%22%3A%20%22%26%22%7D"
    assert server.seen[0].path == f"/v1/orders?{query}"
    assert server.seen[0].headers["X-Unit"] == "u"


async def test_a_parameter_of_the_path_stays_in_its_segment(server: Server, http_client: GuardedHttpClient) -> None:
    server.says({})
    made = operation("getOrder", server, description="Looks an order up.")
    assert made.description == "Looks an order up."
    assert made.parameters["properties"] == {"id": {"type": "string", "description": "The order."}}
    await run(made, http_client, id="a b?c")
    assert server.seen[0].path == "/v1/orders/a%20b%3Fc"
    for id_ in ("..", "a/b", ""):
        with pytest.raises(InvalidArguments):
            made.parse({"id": id_})


async def test_two_parameters_of_one_name_have_two_names(server: Server, http_client: GuardedHttpClient) -> None:
    server.says({})
    await run(operation("deleteOrder", server), http_client, id="a", query_id=7)
    assert (server.seen[0].method, server.seen[0].path) == ("DELETE", "/v1/orders/a?id=7")


def test_the_document_names_the_server_unless_the_tenant_does() -> None:
    document = YAML(typ="safe").load(FILES["shop.yaml"])
    made = openapi.find_operation(document, "getOrder")
    assert made.request({"id": "1"}, {}).url == "https://shop.example/v1/orders/1"
    made = openapi.find_operation(document, "getOrder", "https://other.example:8443/v2/")
    assert made.request({"id": "1"}, {}).url == "https://other.example:8443/v2/orders/1"


def test_a_schema_that_contains_itself_ends() -> None:
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
def test_what_cannot_be_a_tool_is_said(operation_id: str, message: str) -> None:
    with pytest.raises(ToolProblem, match=message) as caught:
        operation(operation_id)
    assert caught.value.location == ("openapi", "operation")
    assert caught.value.message.startswith("shop.yaml: ")


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
def test_what_is_no_document_is_said(document: str, message: str) -> None:
    with pytest.raises(ToolProblem, match=message):
        tool({"openapi": "a.yaml#x"}, {"a.yaml": document})


def test_a_document_that_is_not_there_is_said_with_the_nearest_name() -> None:
    with pytest.raises(ToolProblem, match=r"there is no file `shp.yaml`: did you mean `shop.yaml`"):
        tool({"openapi": "shp.yaml#getOrder"}, FILES)


def test_a_document_in_json_is_read_too() -> None:
    paths = {"/a": {"get": {"operationId": "x"}}}
    document = {"openapi": "3.1.0", "servers": [{"url": "https://a.example"}], "paths": paths}
    assert tool({"openapi": "a.json#x"}, {"a.json": json.dumps(document)}).effects == "read"


def test_a_document_that_is_not_json_is_said() -> None:
    for text, message in (('{"openapi": ', "Expecting value"), ("[" * 200_000, "nested too deeply")):
        with pytest.raises(ToolProblem, match=message):
            tool({"openapi": "a.json#x"}, {"a.json": text})
