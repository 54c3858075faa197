"""Requests of OpenAPI operations, read back by decoders that share no code with what writes them."""

import json
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifest.document_source import read_documents
from tools.base import InvalidArguments
from tools.kinds.http import HttpRequest
from tools.kinds.json_schema import arguments_parser
from tools.kinds.openapi import find_operation
from tools.kinds.openapi_request import Operation

FORM = "application/x-www-form-urlencoded"
STRING, NUMBER = {"type": "string"}, {"type": "integer"}
LIST = {"type": "array", "items": STRING}
OBJECT = {"type": "object", "properties": {"r": NUMBER, "g": NUMBER}}
GENERATED = settings(derandomize=True, database=None, deadline=None, max_examples=60)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)
WORDS = st.text(st.sampled_from("abcé ü-_~%+&=?#@:"), min_size=1)
"""Texts without slashes and without the characters that separate parts."""


def operation_of(parameter: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> Operation:
    """Return an operation with one parameter, or a body."""
    path = "/a/{p}" if parameter and parameter["in"] == "path" else "/a"
    operation: dict[str, Any] = {"operationId": "x", "parameters": [{"name": "p", **parameter}] if parameter else []}
    if body is not None:
        operation["requestBody"] = {"content": body, "required": True}
    document = {"openapi": "3.1.0", "servers": [{"url": "https://a.example"}], "paths": {path: {"post": operation}}}
    return find_operation(read_documents({"a.json": json.dumps(document)}), "a.json", "x")


def request_of(operation: Operation, **arguments: Any) -> HttpRequest:
    """Return the request for arguments that fit the schema."""
    parsed = arguments_parser(operation.schema)(arguments)
    operation.check(parsed)
    return operation.request(parsed, {})


def query_of(request: HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(
        urlsplit(request.url).query, keep_blank_values=True, strict_parsing=bool(urlsplit(request.url).query)
    )


def unbracketed(pairs: list[tuple[str, str]]) -> Any:
    """Return the value that names such as p[a][0] describe."""
    found: Any = {}
    for name, text in pairs:
        *parents, last = name.replace("]", "").split("[")
        node = found
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = text
    return found


def parts_of(request: HttpRequest) -> list[Message]:
    """Return the parts of a multipart body, which Python's mail parser reads."""
    assert request.body is not None
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    payload: Any = message_from_bytes(head + request.body).get_payload()
    return list(payload)


@pytest.mark.parametrize(
    ("style", "explode", "schema", "value", "path"),
    [
        (None, None, STRING, "b c", "b%20c"),
        (None, None, LIST, ["b", "c"], "b,c"),
        ("simple", True, OBJECT, {"r": 1, "g": 2}, "r=1,g=2"),
        ("simple", False, OBJECT, {"r": 1, "g": 2}, "r,1,g,2"),
        ("label", False, STRING, "b", ".b"),
        ("label", False, LIST, ["b", "c"], ".b,c"),
        ("label", True, LIST, ["b", "c"], ".b.c"),
        ("label", True, OBJECT, {"r": 1, "g": 2}, ".r=1.g=2"),
        ("matrix", False, STRING, "b", ";p=b"),
        ("matrix", False, LIST, ["b", "c"], ";p=b,c"),
        ("matrix", True, LIST, ["b", "c"], ";p=b;p=c"),
        ("matrix", True, OBJECT, {"r": 1, "g": 2}, ";r=1;g=2"),
    ],
)
def test_the_styles_of_a_path(style: str | None, explode: bool | None, schema: Any, value: Any, path: str) -> None:
    written = {"style": style, "explode": explode}
    parameter = {
        "in": "path",
        "required": True,
        "schema": schema,
        **{k: v for k, v in written.items() if v is not None},
    }
    assert request_of(operation_of(parameter), p=value).url == f"https://a.example/a/{path}"


@pytest.mark.parametrize(
    ("style", "explode", "schema", "value", "query"),
    [
        (None, None, LIST, ["b", "c"], "p=b&p=c"),
        (None, False, LIST, ["b", "c"], "p=b%2Cc"),
        ("spaceDelimited", None, LIST, ["b", "c"], "p=b%20c"),
        ("pipeDelimited", False, LIST, ["b", "c"], "p=b%7Cc"),
        ("spaceDelimited", True, LIST, ["b", "c"], "p=b&p=c"),
        (None, None, OBJECT, {"r": 1, "g": 2}, "r=1&g=2"),
        (None, False, OBJECT, {"r": 1, "g": 2}, "p=r%2C1%2Cg%2C2"),
        ("deepObject", True, OBJECT, {"r": 1, "g": 2}, "p%5Br%5D=1&p%5Bg%5D=2"),
        ("deepObject", True, LIST, ["b", "c"], "p%5B0%5D=b&p%5B1%5D=c"),
        (None, None, {"type": "boolean"}, True, "p=true"),
        (None, None, NUMBER, 5.0, "p=5"),
    ],
)
def test_the_styles_of_a_query(style: str | None, explode: bool | None, schema: Any, value: Any, query: str) -> None:
    written = {"style": style, "explode": explode}
    parameter = {"in": "query", "schema": schema, **{k: v for k, v in written.items() if v is not None}}
    assert request_of(operation_of(parameter), p=value).url == f"https://a.example/a?{query}"


def test_reserved_characters_stay_where_they_change_nothing() -> None:
    parameter = {"in": "query", "allowReserved": True, "schema": STRING}
    request = request_of(operation_of(parameter), p="https://b.example/?c=1&d#e")
    assert request.url == "https://a.example/a?p=https://b.example/?c=1%26d%23e"
    assert query_of(request) == [("p", "https://b.example/?c=1&d#e")]


@pytest.mark.parametrize(
    "parameter",
    [
        {"in": "query", "explode": False, "schema": LIST},
        {"in": "query", "style": "pipeDelimited", "schema": LIST},
        {"in": "header", "schema": LIST},
        {"in": "path", "required": True, "style": "label", "explode": True, "schema": LIST},
    ],
)
def test_a_part_that_would_be_read_as_two_is_refused(parameter: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments, match="separates its parts"):
        request_of(operation_of(parameter), p=["a", "b,c|d.e"])


@pytest.mark.parametrize("value", [[], [""], ["a/b"], [".."]])
def test_what_would_change_the_path_is_refused(value: list[str]) -> None:
    with pytest.raises(InvalidArguments, match="address"):
        request_of(operation_of({"in": "path", "required": True, "schema": LIST}), p=value)


def test_cookies_hold_parameters() -> None:
    request = request_of(operation_of({"in": "cookie", "explode": False, "schema": LIST}), p=["a b", "c;"])
    assert request.headers["Cookie"] == "p=a%20b%2Cc%3B"


def test_a_header_is_one_line() -> None:
    operation = operation_of({"in": "header", "explode": True, "schema": OBJECT})
    assert request_of(operation, p={"r": 1, "g": 2}).headers == {"p": "r=1,g=2"}
    with pytest.raises(InvalidArguments, match="one line"):
        request_of(operation_of({"in": "header", "schema": STRING}), p="a\r\nb: c")


@pytest.mark.parametrize(
    ("schema", "encoding", "value", "body"),
    [
        (LIST, None, ["https://a", "b"], "f=https%3A%2F%2Fa&f=b"),
        (LIST, {"explode": False}, ["1", "2"], "f=1%2C2"),
        (LIST, {"style": "form", "explode": True}, ["1", "2"], "f=1&f=2"),
        (LIST, {"style": "deepObject", "explode": True}, ["1", "2"], "f%5B0%5D=1&f%5B1%5D=2"),
        (LIST, {"style": "pipeDelimited"}, ["1", "2"], "f=1%7C2"),
        (LIST, {"contentType": "application/json"}, ["1"], "f=%5B%221%22%5D"),
        ({"type": "array", "items": OBJECT}, None, [{"r": 1}, {"r": 2}], "f=%7B%22r%22%3A1%7D&f=%7B%22r%22%3A2%7D"),
        (OBJECT, None, {"r": 1}, "f=%7B%22r%22%3A1%7D"),
        (OBJECT, {"style": "deepObject"}, {"r": 1, "g": 2}, "f%5Br%5D=1&f%5Bg%5D=2"),
        (STRING, {"allowReserved": True}, "a/b&c", "f=a/b%26c"),
        (STRING, None, "a b", "f=a+b"),
        ({"type": ["string", "null"]}, None, None, ""),
    ],
)
def test_the_encodings_of_a_form(schema: Any, encoding: Any, value: Any, body: str) -> None:
    media = {"schema": {"type": "object", "properties": {"f": schema}}}
    media |= {"encoding": {"f": encoding}} if encoding else {}
    request = request_of(operation_of(body={FORM: media}), body={"f": value})
    assert (request.headers["Content-Type"], request.body) == (FORM, body.encode())


def test_a_multipart_form_has_a_part_for_each_value() -> None:
    properties = {"note": STRING, "tags": LIST, "size": OBJECT, "photo": {"type": "string", "format": "binary"}}
    media = {"schema": {"type": "object", "properties": properties}, "encoding": {"note": {"contentType": "text/html"}}}
    operation = operation_of(body={"multipart/form-data": media})
    assert "photo" not in operation.schema["properties"]["body"]["properties"]
    body = {"note": "<b>é</b>", "tags": ["a", "b"], "size": {"r": 1}}
    request = request_of(operation, body=body)
    found = [(p.get_param("name", header="Content-Disposition"), p.get_payload(decode=True)) for p in parts_of(request)]
    assert found == [("note", "<b>é</b>".encode()), ("tags", b"a"), ("tags", b"b"), ("size", b'{"r":1}')]
    assert [part.get("Content-Type") for part in parts_of(request)] == ["text/html", None, None, "application/json"]
    assert request == request_of(operation, body=body), "a second attempt sends the same bytes"


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ({"application/xml": {}, "application/json; charset=utf-8": {}}, "application/json; charset=utf-8"),
        ({"application/json-patch+json": {}, "application/json": {}}, "application/json"),
        ({"application/vnd.api+json": {}}, "application/vnd.api+json"),
        ({"*/*": {}}, "application/json"),
        ({"text/plain": {"schema": STRING}}, "text/plain"),
    ],
)
def test_the_media_type_that_a_tool_can_write_is_chosen(content: Any, sent: str) -> None:
    request = request_of(operation_of(body=content), body="a")
    assert request.headers["Content-Type"] == sent
    assert request.body == (b"a" if sent == "text/plain" else b'"a"')


@GENERATED
@given(st.lists(TEXTS, min_size=1), st.booleans())
def test_a_query_reads_back_as_the_same_list(value: list[str], reserved: bool) -> None:
    operation = operation_of({"in": "query", "allowReserved": reserved, "schema": LIST})
    assert query_of(request_of(operation, p=value)) == [("p", text) for text in value]


@GENERATED
@given(st.lists(WORDS, min_size=1))
def test_a_path_reads_back_as_the_same_list(value: list[str]) -> None:
    for style, prefix in (("simple", ""), ("label", "."), ("matrix", ";p=")):
        operation = operation_of({"in": "path", "required": True, "style": style, "schema": LIST})
        written = urlsplit(request_of(operation, p=value).url).path.removeprefix("/a/").removeprefix(prefix)
        assert [unquote(text) for text in written.split(",")] == value


@GENERATED
@given(st.recursive(TEXTS, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1), max_leaves=8))
def test_a_deep_object_reads_back_as_the_same_object(value: Any) -> None:
    operation = operation_of({"in": "query", "style": "deepObject", "schema": {"type": "object"}})
    assert unbracketed(query_of(request_of(operation, p={"k": value}))) == {"p": {"k": value}}


@GENERATED
@given(st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS, min_size=2) | st.dictionaries(TEXTS, TEXTS)))
def test_forms_read_back_as_the_same_values(value: dict[str, Any]) -> None:
    expected = [
        (name, item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, separators=(",", ":")))
        for name, field in value.items()
        for item in (field if isinstance(field, list) else [field])
    ]
    body = request_of(operation_of(body={FORM: {"schema": {"type": "object"}}}), body=value).body
    assert body is not None
    assert [tuple(map(unquote_plus, pair.split("="))) for pair in body.decode().split("&") if pair] == expected


@GENERATED
@given(st.dictionaries(WORDS, TEXTS, min_size=1))
def test_multipart_reads_back_as_the_same_texts(value: dict[str, str]) -> None:
    request = request_of(operation_of(body={"multipart/form-data": {"schema": {"type": "object"}}}), body=value)
    assert request.body is not None
    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)[1:-1]
    found = [part.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b"\r\n\r\n", 1) for part in parts]
    names = [head.decode().partition('name="')[2].removesuffix('"') for head, _ in found]
    assert dict(zip(names, (text.decode() for _, text in found), strict=True)) == value
