"""Operations of Swagger 2.0."""

import json
from typing import Any

import pytest

from manifest.document_source import read_documents
from tools.kinds.http import HttpRequest
from tools.kinds.openapi import find_operation
from tools.kinds.openapi_document import OpenApiProblem
from tools.kinds.openapi_request import Operation

FORM = "application/x-www-form-urlencoded"
ORDER = {"type": "object", "properties": {"id": {"type": "string", "readOnly": True}, "sku": {"type": "string"}}}


def operation_of(parameters: list[Any], path: str = "/a", consumes: Any = None, **root: Any) -> Operation:
    """Return an operation with these parameters."""
    described = {"operationId": "x", "parameters": parameters, **({"consumes": consumes} if consumes else {})}
    document = {
        "swagger": "2.0",
        "host": "a.example",
        "basePath": "/v1",
        "schemes": ["http", "https"],
        "paths": {path: {"post": described}},
        "definitions": {"Order": ORDER},
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "type": "string"}},
        **root,
    }
    return find_operation(read_documents({"a.json": json.dumps(document)}), "a.json", "x")


def request_of(operation: Operation, **arguments: Any) -> HttpRequest:
    return operation.request(arguments, {})


def test_a_body_and_a_reference_are_converted() -> None:
    body = {"name": "order", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Order"}}
    operation = operation_of([{"$ref": "#/parameters/Id"}, body], "/orders/{id}")
    assert operation.schema["required"] == ["id", "body"]
    assert operation.schema["properties"]["body"]["properties"] == {"sku": {"type": "string"}}
    request = request_of(operation, id="7", body={"sku": "a"})
    assert (request.url, request.body) == ("https://a.example/v1/orders/7", b'{"sku": "a"}')


@pytest.mark.parametrize(
    ("collection", "query"),
    [(None, "p=a%2Cb"), ("csv", "p=a%2Cb"), ("ssv", "p=a%20b"), ("tsv", "p=a%09b"), ("pipes", "p=a%7Cb"),
     ("multi", "p=a&p=b")],
)  # fmt: skip
def test_the_collection_formats_of_a_query(collection: str | None, query: str) -> None:
    parameter = {"name": "p", "in": "query", "type": "array", "items": {"type": "string"}}
    operation = operation_of([{**parameter, "collectionFormat": collection} if collection else parameter])
    assert operation.schema["properties"]["p"] == {"type": "array", "items": {"type": "string"}}
    assert request_of(operation, p=["a", "b"]).url == f"https://a.example/v1/a?{query}"


def test_form_data_is_a_form() -> None:
    tags = {"name": "tags", "in": "formData", "type": "array", "items": {"type": "string"}, "collectionFormat": "multi"}
    note = {"name": "note", "in": "formData", "type": "string", "required": True, "description": "A note."}
    ids = {"name": "ids", "in": "formData", "type": "array", "items": {"type": "integer"}}
    operation = operation_of([tags, note, ids])
    assert operation.schema["required"] == ["body"]
    assert operation.schema["properties"]["body"]["properties"]["note"] == {"type": "string", "description": "A note."}
    request = request_of(operation, body={"tags": ["a", "b"], "note": "c d", "ids": [1, 2]})
    assert (request.headers["Content-Type"], request.body) == (FORM, b"tags=a&tags=b&note=c+d&ids=1%2C2")


def test_a_file_is_left_out_where_it_is_optional() -> None:
    photo = {"name": "photo", "in": "formData", "type": "file"}
    note = {"name": "note", "in": "formData", "type": "string"}
    operation = operation_of([photo, note])
    assert list(operation.schema["properties"]["body"]["properties"]) == ["note"]
    assert (
        request_of(operation, body={"note": "a"}).headers["Content-Type"].startswith("multipart/form-data; boundary=")
    )
    with pytest.raises(OpenApiProblem, match="the field `photo` is a file"):
        operation_of([{**photo, "required": True}, note])


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ({"schemes": ["http"]}, "http://a.example/v1/a"),
        ({"schemes": ["wss", "https"], "basePath": "/"}, "https://a.example/a"),
        ({"basePath": None, "schemes": None}, "https://a.example/a"),
    ],
)
def test_the_server_is_made_of_its_parts(root: dict[str, Any], url: str) -> None:
    assert request_of(operation_of([], **root)).url == url


@pytest.mark.parametrize(
    ("root", "message"),
    [({"host": None}, "`/v1` is not a whole address"), ({"host": None, "basePath": None}, "names no server")],
)
def test_a_document_without_a_host_says_what_to_write(root: dict[str, Any], message: str) -> None:
    with pytest.raises(OpenApiProblem, match=message):
        operation_of([], **root)


def test_a_body_of_another_type_is_refused() -> None:
    with pytest.raises(OpenApiProblem, match="its body is application/xml"):
        operation_of([{"name": "b", "in": "body", "schema": {"type": "object"}}], consumes=["application/xml"])
