"""Schemas of OpenAPI 3.0 and 3.1 as JSON Schema."""

import json
from typing import Any

import pytest

from manifest.document_source import read_documents
from tools.base import InvalidArguments
from tools.kinds.json_schema import arguments_parser
from tools.kinds.openapi import find_operation

STRING, NUMBER = {"type": "string"}, {"type": "number"}
COMPONENTS: dict[str, dict[str, Any]] = {
    "Id": {"type": "string", "readOnly": True},
    "Name": {"type": "string", "maxLength": 9},
    "Tree": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Tree"}, "name": STRING}},
}


def parameters_of(schema: Any) -> dict[str, Any]:
    """Return the arguments' schema of an operation with this body."""
    body = {"content": {"application/json": {"schema": schema}}, "required": True}
    document = {
        "openapi": "3.1.1",
        "servers": [{"url": "https://a.example"}],
        "paths": {"/a": {"post": {"operationId": "x", "requestBody": body}}},
        "components": {"schemas": COMPONENTS},
    }
    return find_operation(read_documents({"a.json": json.dumps(document)}), "a.json", "x").schema


def convert(schema: Any) -> Any:
    """Return what a schema of a body becomes."""
    return parameters_of(schema)["properties"]["body"]


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("schema", "converted"),
    [
        ({"type": ["string", "null"], "const": None}, {"type": ["string", "null"], "const": None}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"nullable": True, "allOf": [reference("Name")]}, {"type": ["string", "null"], "maxLength": 9}),
        ({**reference("Name"), "nullable": True}, {"type": ["string", "null"], "maxLength": 9}),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 1}),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
        ({"type": "integer", "exclusiveMinimum": 1}, {"type": "integer", "exclusiveMinimum": 1}),
        ({"type": "integer", "enum": ["1", "2", "x"]}, {"type": "integer", "enum": [1, 2]}),
        ({"type": "string", "enum": [1, True]}, {"type": "string", "enum": ["1", "true"]}),
        ({"type": "boolean", "enum": ["true"]}, {"type": "boolean", "enum": [True]}),
        ({"type": "integer", "enum": ["x"]}, {"type": "integer"}),
        ({"type": "string", "example": "a", "examples": ["a"], "title": "T", "x-a": 1, "xml": {}}, STRING),
        ({"type": "string", "format": "int64", "pattern": "(?=a)", "minLength": "1"}, STRING),
        ({"type": "number", "maximum": 1e300, "multipleOf": 0}, NUMBER),
        ({"type": "money"}, {}),
        (True, {}),
        ({"items": STRING}, {"type": "array", "items": STRING}),
        ({"type": "array", "items": [STRING, NUMBER]}, {"type": "array", "prefixItems": [STRING, NUMBER]}),
        ({"type": "object", "additionalProperties": STRING}, {"type": "object", "additionalProperties": STRING}),
        ({"type": "object", "patternProperties": {"a": STRING}, "additionalProperties": False}, {"type": "object"}),
        ({"oneOf": [STRING, NUMBER], "discriminator": {"propertyName": "a"}}, {"anyOf": [STRING, NUMBER]}),
        ({"anyOf": [STRING], "oneOf": [NUMBER]}, {"allOf": [{"anyOf": [STRING]}, {"anyOf": [NUMBER]}]}),
        ({"anyOf": [STRING, {}]}, {}),
        ({"not": {"x-a": 1}}, {}),
        ({"not": STRING}, {"not": STRING}),
        ({**reference("Name"), "description": "Her name."}, {**COMPONENTS["Name"], "description": "Her name."}),
        ({**reference("Name"), "maxLength": 5}, {"allOf": [COMPONENTS["Name"], {"maxLength": 5}]}),
        ({"type": "array", "items": reference("Tree")},
         {"type": "array", "items": {"type": "object", "properties": {"next": {}, "name": STRING}}}),
    ],
)  # fmt: skip
def test_keywords_of_every_version_are_converted(schema: Any, converted: Any) -> None:
    assert convert(schema) == converted


def test_what_only_the_server_sets_is_not_asked_for() -> None:
    properties = {
        "id": reference("Id"),
        "made": {"allOf": [reference("Id")]},
        "own": {"readOnly": True},
        "password": {"type": "string", "writeOnly": True},
        "$ref": STRING,
    }
    found = convert({"type": "object", "properties": properties, "required": ["id", "made", "password"]})
    assert found == {
        "type": "object",
        "properties": {"password": STRING, "$ref": STRING},
        "required": ["password"],
    }


def test_required_names_that_no_property_has_are_dropped() -> None:
    person = {"type": "object", "properties": {"name": STRING}, "required": ["name", "nmae"]}
    assert convert(person)["required"] == ["name"]
    together = {"allOf": [{"properties": {"name": STRING}}, {"required": ["name", "gone"]}]}
    assert convert(together)["allOf"][1] == {"required": ["name"]}


def test_a_choice_of_names_that_are_required_stays() -> None:
    choice = {
        "type": "object",
        "properties": {"a": STRING, "b": STRING},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    parse = arguments_parser(parameters_of(choice))
    assert parse({"body": {"b": "x"}})
    with pytest.raises(InvalidArguments):
        parse({"body": {}})


def test_a_value_that_fits_several_of_a_choice_is_accepted() -> None:
    schema = parameters_of({"oneOf": [{"type": "integer"}, {"type": "number"}, reference("Tree")]})
    assert arguments_parser(schema)({"body": 5}) == {"body": 5}
