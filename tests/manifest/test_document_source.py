"""OpenAPI documents as files: JSON, YAML, several files, large ones, and the places of problems."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from manifest.compile_tools import ToolProblem
from manifest.document_source import LARGEST_WHOLE, read_documents
from manifest.folder import load_folder
from manifest.loader import MAIN, InvalidFiles, load
from tests.manifest.files import TEXT, VALID
from tests.tools.fake_ports import tool_from_yaml
from tools.base import Tool
from tools.kinds.openapi_document import OpenApiProblem

HEAD = "openapi: 3.0.3\nservers: [{url: 'https://a.example'}]\n"
ORDER = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}


def tools(names: Mapping[str, str]) -> str:
    """Return the section of tools with these operations."""
    return "tools:\n" + "".join(f"  {name}: {{openapi: '{operation}'}}\n" for name, operation in names.items())


def tool_of(files: Mapping[str, str], operation: str = "a.yaml#x") -> Tool:
    return tool_from_yaml({"openapi": operation}, files)


def large_document(count: int) -> dict[str, Any]:
    """Return a document of about two KiB for each operation."""
    paths = {
        f"/orders{number}": {
            "post": {
                "operationId": f"order{number}",
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/O{number}"}}}
                },
                "responses": {"200": {"description": "word " * 300}},
            }
        }
        for number in range(count)
    }
    schemas = {f"O{number}": {**ORDER, "description": f"Order {number}. " * 20} for number in range(count)}
    servers = [{"url": "https://a.example"}]
    return {"openapi": "3.0.3", "servers": servers, "paths": paths, "components": {"schemas": schemas}}


def as_yaml(value: Any, indent: str = "") -> str:
    """Return a mapping as block YAML."""
    if not isinstance(value, dict):
        return f" {json.dumps(value)}\n"
    return "\n" + "".join(f"{indent}{json.dumps(key)}:{as_yaml(item, indent + '  ')}" for key, item in value.items())


@pytest.mark.parametrize("name", ["api.json", "api.yaml"])
def test_a_large_document_is_published_in_part(tmp_path: Path, name: str) -> None:
    document = large_document(2_600)
    text = json.dumps(document) if name.endswith("json") else as_yaml(document)
    assert len(text) > 5_000_000
    for path, content in {**VALID, MAIN: TEXT + tools({"order": f"{name}#order7"}), name: text}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    loaded = load_folder(tmp_path)
    assert loaded.form_text is not None
    assert len(loaded.files[name]) < 2_000
    assert len(loaded.form_text) < 20_000
    tool = loaded.assistant.tools["order"]
    assert tool.parameters["properties"]["body"]["properties"] == ORDER["properties"]
    again = load(loaded.files)
    assert again.content_hash == loaded.content_hash
    assert again.assistant.tools["order"].parameters == tool.parameters


def test_an_unused_operation_of_a_large_document_may_change() -> None:
    document = large_document(200)
    files = {**VALID, MAIN: TEXT + tools({"order": "api.json#order7"})}
    before = load({**files, "api.json": json.dumps(document)})
    document["paths"]["/orders8"]["post"]["summary"] = "Another."
    assert load({**files, "api.json": json.dumps(document)}).content_hash == before.content_hash
    document["components"]["schemas"]["O7"]["description"] = "Another."
    assert load({**files, "api.json": json.dumps(document)}).content_hash != before.content_hash


def test_a_small_document_is_published_as_it_is() -> None:
    text = HEAD + "paths: {/a: {get: {operationId: x}}}  # a comment\n"
    loaded = load({**VALID, MAIN: TEXT + tools({"x": "a.yaml#x"}), "a.yaml": text})
    assert loaded.files["a.yaml"] == text


FOLDER = {
    "api/a.yaml": HEAD + "paths:\n  /orders/{id}: {$ref: 'paths/orders.yaml#/one'}\n",
    "api/paths/orders.yaml": "one:\n  parameters: [{$ref: ../common.json#/id}]\n  put: {$ref: put.yml}\n",
    "api/paths/put.yml": "operationId: x\nrequestBody:\n  content:\n    application/json:\n"
    "      schema: {$ref: '../order%20v1.yaml'}\n",
    "api/common.json": json.dumps(
        {
            "id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
            "made": {"type": "string", "readOnly": True},
        }
    ),
    "api/order v1.yaml": "type: object\nproperties:\n  sku: {$ref: '#/$defs/sku'}\n"
    "  made: {$ref: 'common.json#/made'}\n$defs: {sku: {type: string}}\n",
}


def test_references_lead_across_the_files_of_the_folder() -> None:
    tool = tool_of(FOLDER, "api/a.yaml#x")
    assert tool.parameters["properties"] == {
        "id": {"type": "string"},
        "body": {"type": "object", "properties": {"sku": {"type": "string"}}},
    }


@pytest.mark.parametrize("padding", [0, LARGEST_WHOLE])
def test_a_version_holds_all_files_that_its_tools_need(padding: int) -> None:
    files = {**FOLDER, "api/common.json": FOLDER["api/common.json"] + " " * padding, "unused.yaml": "a: 1"}
    loaded = load({**VALID, **files, MAIN: TEXT + tools({"x": "api/a.yaml#x"})})
    assert loaded.files.keys() == {*VALID, *FOLDER}
    assert load(loaded.files).assistant.tools["x"].parameters == loaded.assistant.tools["x"].parameters
    assert load(loaded.files).content_hash == loaded.content_hash


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{$ref: ../secret.yaml}", r"a.yaml:7:58: .*there is no file `../secret.yaml`"),
        (
            "{$ref: oder.yaml}",
            r"a.yaml:7:58: .*there is no file `oder.yaml` in the tenant's folder: did you mean `order",
        ),
        (
            "{$ref: 'https://b.example/o.yaml'}",
            r"a.yaml:7:58: .*must stay within the files of the tenant's folder: copy",
        ),
        ("{$ref: 'order.yaml#/Order'}", r"a.yaml:7:58: .*`order.yaml#/Order` does not exist"),
        ("{$ref: 'order.yaml#Order'}", r"a.yaml:7:58: .*write a path after the #"),
        ("{$ref: 'broken.yaml'}", r"a.yaml:7:58: `x`: broken.yaml:2:4: "),
        ("{$ref: 'circle.yaml'}", r"a.yaml:3:9: `circle.yaml` leads back to itself"),
        ("{properties: {a: 7}}", r"a.yaml:7:68: `x`: a schema is not a mapping"),
    ],
)
def test_a_problem_names_the_place_in_its_document(schema: str, message: str) -> None:
    text = (
        HEAD + "paths:\n  /a:\n    post:\n      operationId: x\n"
        f"      requestBody: {{content: {{text/json: {{schema: {schema}}}}}}}\n"
    )
    files = {"order.yaml": "a: 1", "circle.yaml": "$ref: circle.yaml", "broken.yaml": "a: [\n  ]]", "a.yaml": text}
    if "circle" in schema:
        files["a.yaml"] = HEAD + "paths: {/a: {$ref: circle.yaml}}"
    with pytest.raises(ToolProblem, match=message):
        tool_of(files)


def test_the_place_is_found_in_json_of_one_line_and_of_many() -> None:
    document = {"openapi": "3.0.3", "servers": [{"url": "/v1"}], "paths": {"/a": {"get": {"operationId": "x"}}}}
    for indent, place in ((None, "a.json:1:34: "), ("\t", "a.json:4:3: ")):
        with pytest.raises(ToolProblem, match=f"^{place}`x`: the server `/v1`"):
            tool_of({"a.json": json.dumps(document, indent=indent)}, "a.json#x")


def test_the_check_of_a_folder_names_both_places() -> None:
    files = {
        **VALID,
        MAIN: TEXT + tools({"x": "a.yaml#x"}),
        "a.yaml": "openapi: 3.0.3\npaths: {/a: {get: {operationId: x}}}",
    }
    with pytest.raises(InvalidFiles) as raised:
        load(files)
    (problem,) = raised.value.problems
    assert problem.line == TEXT.count("\n") + 2
    assert problem.message.startswith("a.yaml:1:1: `x`: the document names no server")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200: a\non: b\nnull: c\n1.5: d", {"200": "a", "on": "b", "null": "c", "1.5": "d"}),
        ("a: [no, off, 012, 0x1F, 0o17, 1_000, 1e3, .5, ~, True, 2024-05-01, 12:30]",
         {"a": ["no", "off", 12, 31, 15, "1_000", 1000.0, 0.5, None, True, "2024-05-01", "12:30"]}),
        ("a: ['1', \"true\", !!str 2, !!int '3', '']", {"a": ["1", "true", "2", 3, ""]}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: {c: 3, <<: [{c: 1, d: 1}, {d: 2, e: 2}]}", {"a": {"c": 3, "d": 1, "e": 2}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ('{"a": "\\u0000b"}', {"a": "b"}),
    ],
)  # fmt: skip
def test_yaml_is_read_by_the_rules_of_version_1_2(text: str, value: Any) -> None:
    assert read_documents({"a.yaml": text}).root("a.yaml").value == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *x", "a.yaml:1:4: `\\*x` names no value"),
        ("a: &x [*x]", "a.yaml:1:8: `\\*x` names no value that ends before it"),
        ("a: 1\n---\nb: 2", "expected one document, but there are 2"),
        ("", "expected one document, but there are 0"),
        ("? [1]\n: 2", "a.yaml:1:3: a key is not a text"),
        ("a: {<<: 3}", "`<<` merges a mapping"),
        ("- " * 5_000, "nested too deeply"),
        ("[" * 100_000, "a.yaml"),
        ("a: \x07", "neither YAML nor JSON"),
    ],
)
def test_yaml_that_cannot_be_read_says_where(text: str, message: str) -> None:
    with pytest.raises(OpenApiProblem, match=message):
        read_documents({"a.yaml": text}).root("a.yaml")


def test_multiplying_aliases_of_a_document_are_refused() -> None:
    rows = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    rows += [f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 10)}]" for number in range(1, 9)]
    with pytest.raises(OpenApiProblem, match="more than 2000000 values"):
        read_documents({"a.yaml": "\n".join(rows)}).root("a.yaml")
