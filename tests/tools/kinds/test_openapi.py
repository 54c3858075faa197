"""Tools that are operations of an OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import pytest

from manifest.compile_tools import ToolProblem
from manifest.document_source import read_documents
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
    assert sorted(tool.parameters["properties"]) == ["X-Unit", "deep", "filter_status", "ids", "session", "where"]
    arguments = {"filter_status": ["open", "paid"], "ids": [1, 2], "where": {"a": "&"}, "X-Unit": "u", "session": "a;b"}
    await run_tool(tool, http_client, **arguments, deep={"total": {"gte": 5}})
    query = "filter%5Bstatus%5D=open&filter%5Bstatus%5D=paid&ids=1%2C2&where=%7B%22a%22%3A%20%22%26%22%7D"
    assert server.requests[0].path == f"/v1/orders?{query}&deep%5Btotal%5D%5Bgte%5D=5"
    assert server.requests[0].headers["X-Unit"] == "u"
    assert server.requests[0].headers["Cookie"] == "session=a%3Bb"


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
    documents = read_documents(FILES)
    tool = openapi.find_operation(documents, "shop.yaml", "getOrder")
    assert tool.request({"id": "1"}, {}).url == "https://shop.example/v1/orders/1"
    tool = openapi.find_operation(documents, "shop.yaml", "getOrder", "https://other.example:8443/v2/")
    assert tool.request({"id": "1"}, {}).url == "https://other.example:8443/v2/orders/1"


def test_a_recursive_schema_is_cut_off() -> None:
    body = operation("plantTree").parameters["properties"]["body"]
    assert body["properties"]["children"] == {"type": "array", "items": {}}


@pytest.mark.parametrize(
    ("operation_id", "message"),
    [
        ("getOrdr", "shop.yaml: there is no operation `getOrdr`: did you mean `getOrder`"),
        ("upload", "shop.yaml:40:94: `upload`: the field `photo` is a file, which tools cannot send"),
        ("bomb", "shop.yaml:46:5: `bomb`: too large"),
        ("elsewhere", "shop.yaml:52:65: `elsewhere`: .* a reference must stay within the file"),
        ("nowhere", "shop.yaml:56:65: `nowhere`: `#/components/schemas/Gone` does not exist"),
        ("login", "shop.yaml:60:20: `login`: the parameter `session` is required, and has the style deepObject"),
        ("odd", "shop.yaml:62:5: `odd`: .* do not match"),
        ("broken", "shop.yaml:64:.*: `broken`: `parameters` is not a list, so it is not valid OpenAPI"),
    ],
)
def test_an_operation_that_cannot_be_a_tool_is_refused(operation_id: str, message: str) -> None:
    with pytest.raises(ToolProblem, match=message) as raised:
        operation(operation_id)
    assert raised.value.location == ("openapi", "operation")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("swagger: '1.2'", "not an OpenAPI document of version 3"),
        ("- 1", "not an OpenAPI document"),
        ("a: [", "^a.yaml:2:1: "),
        ("{", "^a.yaml:2:1: "),
        ("{openapi: 3.0.0, paths: {/a: {get: {operationId: x}}}}", "names no server"),
        ("{openapi: 3.1.0, servers: [{url: /v1}], paths: {/a: {get: {operationId: x}}}}", "the server `/v1`"),
        ("{openapi: 3.1.0, servers: [{url: 'https://{a}/'}], paths: {/a: {get: {operationId: x}}}}", "the server"),
        ("openapi: 3.0.0\npaths: 1", "^a.yaml:2:8: `paths` is not a mapping"),
        ("openapi: 3.0.0\npaths: {/a: {head: {operationId: x}}}", "no operation"),
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


def described(operation: JSON, path: str = "/a", **root: Any) -> str:
    """Return a document with one operation, named x."""
    document = {"openapi": "3.0.3", "servers": [{"url": "https://a.example"}], **root}
    return json.dumps({**document, "paths": {path: {"post": {"operationId": "x", **operation}}}})


def tool_of(operation: JSON, path: str = "/a", **root: Any) -> Tool:
    """Return the tool of one operation."""
    return tool_from_yaml({"openapi": "a.json#x"}, {"a.json": described(operation, path, **root)})


@pytest.mark.parametrize("name", ["GET /orders/{id}", "get /orders/{id}", "Get  /orders/{id} "])
def test_method_and_path_name_an_operation(name: str) -> None:
    assert operation(name).parameters == operation("getOrder").parameters


def test_a_fragment_in_a_path_is_not_sent() -> None:
    files = {"a.json": described({"parameters": []}, "/files#lock")}
    assert tool_from_yaml({"openapi": "a.json#POST /files#lock"}, files).effects == "write"
    found = openapi.find_operation(read_documents(files), "a.json", "POST /files#lock")
    assert found.request({}, {}).url == "https://a.example/files"


@pytest.mark.parametrize(
    ("servers", "address"),
    [
        ([{"url": "/v1"}, {"url": "https://b.example/v1/"}], "https://b.example/v1/a"),
        ([{"url": "https://{r}.example", "variables": {"r": {"enum": ["br", "us"]}}}], "https://br.example/a"),
        ([{"url": "https://{r}.example", "variables": {"r": {"default": "eu"}}}], "https://eu.example/a"),
    ],
)
def test_the_first_server_with_a_whole_address_is_used(servers: Any, address: str) -> None:
    found = openapi.find_operation(read_documents({"a.json": described({}, servers=servers)}), "a.json", "x")
    assert found.request({}, {}).url == address


def test_a_relative_server_says_what_to_write() -> None:
    with pytest.raises(ToolProblem, match=r"`/v1` is not a whole address: write `server:`, such as https://api"):
        tool_of({}, servers=[{"url": "/v1"}])


def test_a_schema_too_large_for_a_model_is_open_at_its_depth() -> None:
    leaf = {f"p{number}": {"type": "string", "maxLength": 9} for number in range(20)}
    inner = {f"o{number}": {"type": "object", "properties": leaf} for number in range(20)}
    outer = {f"q{number}": {"type": "object", "properties": inner} for number in range(20)}
    body = {"type": "object", "properties": outer}
    tool = tool_of({"requestBody": {"content": {"application/json": {"schema": body}}}})
    found = tool.parameters["properties"]["body"]["properties"]["q3"]["properties"]["o7"]
    assert found == {"type": "object"}
    tool.parse({"body": {"q3": {"o7": {"p1": "x"}}}})


def test_a_default_that_does_not_fit_is_not_sent() -> None:
    parameters = [
        {"name": "page", "in": "query", "schema": {"type": "integer", "default": "first"}},
        {"name": "size", "in": "query", "schema": {"type": "integer", "default": "20"}},
    ]
    assert tool_of({"parameters": parameters}).parse({}) == {"size": 20}


def test_a_tenants_cookie_replaces_the_documents() -> None:
    cookie = {"name": "session", "in": "cookie", "required": True, "schema": {"type": "string"}}
    section = {"operation": "a.json#x", "headers": {"Cookie": "session=${secret:S}"}}
    tool = tool_from_yaml({"openapi": section}, {"a.json": described({"parameters": [cookie]})})
    assert tool.parameters["properties"] == {}


def test_characters_that_postgres_refuses_are_left_out() -> None:
    schema = {"type": "string", "description": "a\x00b", "enum": ["\ud800c", "d"]}
    tool = tool_of({"summary": "Does\x00 it.", "parameters": [{"name": "k", "in": "query", "schema": schema}]})
    assert tool.description == "A tool."
    assert tool.parameters["properties"]["k"] == {"type": "string", "enum": ["c", "d"], "description": "ab"}


def test_two_names_that_would_be_one_say_which_they_are() -> None:
    after = {"name": "sent>", "in": "query", "description": "A time.", "schema": {"type": "string"}}
    properties = tool_of({"parameters": [after, {**after, "name": "sent<"}]}).parameters["properties"]
    assert {name: item["description"] for name, item in properties.items()} == {
        "sent": "A time.",
        "query_sent": "`sent<` (query). A time.",
    }


def test_names_that_providers_refuse_get_others() -> None:
    names = ["filter[status]", "filter.status", "a" * 70, "código", "$top"]
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    found = list(tool_of({"parameters": parameters}).parameters["properties"])
    assert found == ["filter_status", "query_filter_status", "a" * 50, "c_digo", "top"]
