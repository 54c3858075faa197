"""The sections of tools: what they take, what they make, and what is said about those that make nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manifest.compile_tools import ToolProblem
from manifest.tool_sections import McpServerSection, ToolSection
from tests.tools.fake_ports import tool_from_yaml
from tools.base import InvalidArguments

HTTP = {"url": "https://a.example/orders"}
ID = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def schema(**properties: Any) -> dict[str, Any]:
    """Parameters, all of them required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def posting(parameters: Any) -> dict[str, Any]:
    """A tool with these parameters."""
    return {"parameters": parameters, "http": HTTP | {"method": "POST"}}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "exactly one of"),
        ({"http": HTTP, "python": "x"}, "exactly one of"),
        ({"http": HTTP, "description": None}, "`description` is missing"),
        ({"http": HTTP, "colour": "red"}, "Extra inputs"),
        ({"http": HTTP, "timeout": "61s"}, "less than or equal to 60"),
        ({"http": HTTP | {"timeout": "2s"}, "timeout": "3s"}, "given twice"),
        ({"http": HTTP, "effects": "handoff"}, "'read' or 'write'"),
        ({"http": HTTP, "retries": 6}, "less than or equal to 5"),
        ({"http": HTTP, "result": "a b"}, "match pattern"),
        ({"openapi": "a.yaml"}, "match pattern"),
        ({"openapi": "a.yaml#x", "parameters": {}}, "brings its own"),
        ({"python": "x", "effects": "read"}, "brings its own"),
    ],
)
def test_a_section_that_is_no_tool_is_said(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ToolSection.model_validate({"description": "A tool.", **section})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "either `url` or `command`"),
        ({"url": "https://a.example", "command": ["x"]}, "either `url` or `command`"),
        ({"command": ["x"], "headers": {"A": "b"}}, "belong to `url`"),
        ({"url": "https://a.example", "env": {"A": "b"}}, "belongs to `command`"),
    ],
)
def test_a_section_that_is_no_server_is_said(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        McpServerSection.model_validate(section)


@pytest.mark.parametrize(
    ("section", "location", "message"),
    [
        (posting({"type": "string"}), ("parameters", "type"), "of `type: object`"),
        (posting({}), ("parameters",), "of `type: object`"),
        (posting(schema(a={"type": "text"})), ("parameters", "properties", "a", "type"), "not a JSON Schema"),
        (posting({"type": "object", "required": "a"}), ("parameters", "required"), "not a JSON Schema"),
        (posting(schema(a={"pattern": "("})), ("parameters", "properties", "a", "pattern"), "regular expression"),
        (posting(schema(a={"pattern": "(?=a)"})), ("parameters", "properties", "a", "pattern"), "look-around"),
        (posting(schema(a={"requird": []})), ("parameters", "properties", "a", "requird"), "did you mean `required`"),
        (posting({"type": "object", "properties": []}), ("parameters", "properties"), "not a JSON Schema"),
        (posting(schema() | {"patternProperties": {}}), ("parameters", "patternProperties"), "not supported"),
        (posting(schema(a={"nullable": True})), ("parameters", "properties", "a", "nullable"), "the type as a list"),
        (
            posting(schema(a={"minimum": float("inf")})),
            ("parameters", "properties", "a", "minimum"),
            "that JSON can say",
        ),
        (
            posting(schema() | {"required": ["b"]}),
            ("parameters", "required", 0),
            "`b` is required, but no property has this name",
        ),
        (
            posting(schema(a={}) | {"anyOf": [{"properties": {"b": {}}}]}),
            ("parameters", "anyOf", 0, "properties", "b"),
            "name `b` there too",
        ),
        (
            posting(schema(a={}) | {"allOf": [{"then": {"properties": {"b": {}}}}]}),
            ("parameters", "allOf", 0, "then", "properties", "b"),
            "name `b` there too",
        ),
        (posting(schema(a={"$ref": "https://x.example/"})), ("parameters", "properties", "a", "$ref"), "within"),
        (posting(schema(a={"$ref": "#/$defs/x"})), ("parameters", "properties", "a", "$ref"), "does not exist"),
        (posting(schema(a={"$ref": "#"})), ("parameters", "properties", "a", "properties", "a", "$ref"), "itself"),
        (
            posting(schema(a={"type": "integer", "enum": [1, "2"]})),
            ("parameters", "properties", "a", "enum", 1),
            '"2" is not of `type: integer`',
        ),
        (
            posting(schema(a={"type": "string", "enum": [True]})),
            ("parameters", "properties", "a", "enum", 0),
            "true is",
        ),
        (
            posting({"type": "object", "properties": {"name": {}}, "required": ["name", "nmae"]}),
            ("parameters", "required", 1),
            "`nmae` is required, but no property has this name: did you mean `name`",
        ),
        (
            posting(schema(a={"type": "array", "items": {"type": "object", "required": ["b"]}})),
            ("parameters", "properties", "a", "items", "required", 0),
            "`b` is required, but no property",
        ),
        ({"http": {"url": "https://a.example/{id}"}}, ("http",), "`{id}` is not among the parameters"),
        ({"http": {"url": "https://a.example/{idd}"}, "parameters": ID}, ("http",), "did you mean `id`"),
        ({"http": {"url": "https://{h}/"}}, ("http", "url"), "expected an address"),
        ({"http": HTTP | {"headers": {"Host": "x"}}}, ("http", "headers"), "not a header"),
        ({"http": HTTP | {"headers": {"X": "${SHOP}"}}}, ("http", "headers"), "secret:NAME"),
        ({"http": HTTP | {"method": "POST", "body": {"a": "{"}}}, ("http", "body"), "without its pair"),
        ({"http": HTTP, "parameters": ID}, ("parameters", "properties", "id"), "`{id}` is not used"),
        (
            {"http": {"url": "https://a.example/{id}"}, "parameters": ID | {"required": []}},
            ("http", "url"),
            "list it under `required`",
        ),
        ({"http": HTTP | {"method": "POST"}, "retries": 1}, ("retries",), "idempotent: true"),
        ({"mcp": {"server": "scool", "tool": "x"}}, ("mcp", "server"), "did you mean `school`"),
        ({"openapi": {"operation": "a.yaml#x", "headers": {"A": "{b}"}}}, ("openapi", "headers", "A"), "only"),
        ({"python": "nobody_made_this"}, ("python",), "no package offers `nobody_made_this`"),
    ],
)
def test_what_cannot_be_made_is_said_with_its_place(
    section: dict[str, Any], location: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ToolProblem, match=message.replace("{", r"\{").replace("}", r"\}")) as raised:
        tool_from_yaml(section, mcp={"school": {"url": "https://school.example/mcp"}})
    assert raised.value.location == location


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ({"url": "https://a.example/${secret:A}"}, "url"),
        ({"url": "https://a.example/?key=${secret:A}"}, "url"),
        ({"url": "https://u:p@a.example/"}, "url"),
        ({"url": "https://a.example/", "headers": {"X": "{argument}"}}, "headers.X"),
        ({"command": ["x"], "env": {"X": "{"}}, "env.X"),
    ],
)
def test_a_server_that_cannot_be_called_is_said_with_its_place(server: dict[str, Any], path: str) -> None:
    with pytest.raises(ToolProblem, match=f"`mcp.school.{path}`") as raised:
        tool_from_yaml({"mcp": {"server": "school", "tool": "x"}}, mcp={"school": server})
    assert raised.value.location == ("mcp", "server")


@pytest.mark.parametrize(
    ("section", "effects"),
    [
        ({"http": HTTP}, "read"),
        ({"http": HTTP | {"method": "POST"}}, "write"),
        ({"http": HTTP | {"method": "POST"}, "effects": "read"}, "read"),
        ({"http": HTTP, "effects": "write"}, "write"),
        ({"mcp": {"server": "school", "tool": "x"}}, "write"),
    ],
)
def test_only_get_is_a_read_unless_the_tenant_says_so(section: dict[str, Any], effects: str) -> None:
    tool = tool_from_yaml(section, mcp={"school": {"url": "https://school.example/mcp"}})
    assert tool.effects == effects


def test_required_names_may_have_properties_elsewhere() -> None:
    parameters = schema(phone={"type": "string"}, mail={}) | {
        "required": [],
        "anyOf": [{"required": ["phone"]}, schema(mail={"type": "string"})],
    }
    for given in ({"phone": "1"}, {"mail": "a"}):
        assert tool_from_yaml(posting(parameters)).parse(given) == given
    fits = {"type": ["integer", "null"], "enum": [1, 2.0, None]}
    assert tool_from_yaml(posting(schema(a=fits))).parse({"a": None}) == {"a": None}


def test_references_within_the_parameters_are_replaced() -> None:
    tool = tool_from_yaml(
        posting(schema(a={"$ref": "#/$defs/x", "description": "A."}) | {"$defs": {"x": {"type": "integer"}}})
    )
    assert tool.parameters == schema(a={"type": "integer", "description": "A."})


def test_arguments_are_checked_by_the_whole_schema() -> None:
    parameters = schema(
        day={"type": "string", "format": "date"},
        code={"type": "string", "pattern": "^[A-Z]{2}$"},
        people={"type": "array", "items": schema(name={"type": "string"}), "maxItems": 1},
        size={"enum": ["S", "M"], "default": "M"},
    )
    tool = tool_from_yaml(posting(parameters))
    good = {"day": "2026-02-28", "code": "AB", "people": [{"name": "Ana"}]}
    assert tool.parse(good) == {**good, "size": "M"}
    for wrong, reason in (
        ({"day": "2026-02-31"}, "day: .* is not a 'date'"),
        ({"code": "ABC"}, "code: 'ABC' does not match"),
        ({"people": [{"name": 1}]}, "people.0.name: 1 is not of type 'string'"),
        ({"size": "L"}, "size: 'L' is not one of"),
        ({"code": float("nan")}, "not finite"),
    ):
        with pytest.raises(InvalidArguments, match=reason):
            tool.parse(good | wrong)


def test_a_default_that_does_not_fit_is_not_added() -> None:
    optional = {"note": {"type": "string", "default": None}, "limit": {"type": "integer", "default": 5}}
    tool = tool_from_yaml(posting({"type": "object", "properties": optional}))
    assert tool.parse({}) == {"limit": 5}
    with pytest.raises(InvalidArguments, match="note: None is not of type 'string'"):
        tool.parse({"note": None})


def test_a_hostile_text_does_not_stall_a_pattern() -> None:
    tool = tool_from_yaml(posting(schema(a={"type": "string", "pattern": "^(a+)+$"})))
    with pytest.raises(InvalidArguments, match="does not match"):
        tool.parse({"a": "a" * 5_000 + "b"})


def test_a_package_brings_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_tools.py").write_text("from tools.builtin.find_slots import TOOL\nNOT_A_TOOL = 1\n")
    info = tmp_path / "acme_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tools\nVersion: 1.0\n")
    points = "slots = acme_tools:TOOL\nodd = acme_tools:NOT_A_TOOL\ngone = acme_tools:GONE\n"
    (info / "entry_points.txt").write_text(f"[recado.tools]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    tool = tool_from_yaml({"python": "slots", "approval": "required"})
    assert (tool.name, tool.description, tool.effects, tool.approval) == ("t", "A tool.", "read", True)
    for name, message in (("slot", "did you mean `slots`"), ("odd", "is not a Tool"), ("gone", "does not load")):
        with pytest.raises(ToolProblem, match=message):
            tool_from_yaml({"python": name})
    sys.modules.pop("acme_tools")


def test_the_schema_for_editors_takes_the_short_forms() -> None:
    properties = ToolSection.model_json_schema()["properties"]
    assert {"type": "string"} in properties["openapi"]["anyOf"]
    assert {"type": "string"} in properties["result"]["anyOf"]
