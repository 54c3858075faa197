"""The translation of tools' schemas: what is sent as keywords, and what is told in words."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graphs.llm_client import Toolbox
from graphs.providers import PROVIDERS
from graphs.providers.merging import merged
from graphs.providers.schemas import LONGEST_DESCRIPTION, translated, translated_parameters
from tests.graphs.provider_fakes import SYSTEM, answering, at, candidate, completion, each_provider, spec

DIALECTS = sorted({provider.dialect for provider in PROVIDERS.values()})


def property_of(schema: Any, dialect: Any) -> dict[str, Any]:
    """The translation of a property's schema."""
    sent: dict[str, Any] = translated_parameters({"type": "object", "properties": {"a": schema}}, dialect)[
        "properties"
    ]["a"]
    return sent


ARRAY = {"type": "array", "description": "códigos"}
FOR_ALL: list[tuple[Any, Any]] = [
    (ARRAY, {**ARRAY, "items": {}}),
    ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
    ({"type": "array", "items": {"type": "array"}}, {"type": "array", "items": {"type": "array", "items": {}}}),
    ({"type": "object", "required": ["b"]}, {"type": "object", "required": ["b"], "properties": {"b": {}}}),
    (
        {"type": "object", "required": ["b", "b"], "properties": {"b": True}},
        {"type": "object", "required": ["b"], "properties": {"b": {}}},
    ),
    ({"type": "string", "$comment": "x", "x-a": 1, "writeOnly": True}, {"type": "string"}),
    ({"type": "integer", "enum": [1, 2, 3]}, {"type": "integer", "enum": [1, 2, 3]}),
    (
        {"type": "object", "additionalProperties": {"type": "array"}},
        {"type": "object", "additionalProperties": {"type": "array", "items": {}}},
    ),
]
FOR_GEMINI: list[tuple[Any, Any]] = [
    ({"const": "a"}, {"type": "string", "enum": ["a"]}),
    (
        {"type": ["string", "null"], "enum": ["a", None]},
        {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
    ),
    ({"enum": [1, "a"]}, {"description": '(one of 1, "a")'}),
    ({"type": "string", "enum": ["", "a"]}, {"type": "string", "description": '(one of "", "a")'}),
    ({"type": "number", "enum": [1, 2]}, {"type": "number", "enum": [1, 2]}),
    ({"enum": [True]}, {"description": "(one of true)"}),
    ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    (
        {"type": "string", "format": "email", "description": "E-mail."},
        {"type": "string", "description": "E-mail. (format: email)"},
    ),
    (
        {"type": "string", "minLength": 2, "pattern": "^a"},
        {"type": "string", "description": "(matches the regular expression ^a; at least 2 characters)"},
    ),
    (
        {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 5},
        {"type": "integer", "description": "(greater than 0; a multiple of 5)"},
    ),
    (
        {"type": "array", "items": {}, "uniqueItems": True},
        {"type": "array", "items": {}, "description": "(no item twice)"},
    ),
    ({"not": {"type": "string"}}, {"description": '(must not fit {"type": "string"})'}),
    (
        {"then": {"minimum": 1}, "if": {"type": "integer"}},
        {"description": '(if it fits {"type": "integer"}; then it fits {"minimum": 1})'},
    ),
    (
        {"type": "object", "dependentRequired": {"a": ["b", "c"]}},
        {"type": "object", "description": "(with `a` also `b`, `c`)"},
    ),
    (
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "(exactly one of the alternatives fits)"},
    ),
    (
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}, {"maxProperties": 0}]},
        {
            "anyOf": [
                {"required": ["a"], "type": "object", "properties": {"a": {}}},
                {"type": "object", "properties": {"a": {}}, "description": "(at most 0 properties)"},
            ]
        },
    ),
    (
        {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"required": ["a"]}]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    ),
    (False, {"description": "(no value fits)"}),
    ({"type": "integer", "default": 7, "deprecated": False}, {"type": "integer", "description": "(default: 7)"}),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("schema", "sent"), FOR_ALL)
def test_every_provider_is_sent_what_it_accepts(schema: Any, sent: Any, dialect: Any) -> None:
    assert property_of(schema, dialect) == sent


@pytest.mark.parametrize(("schema", "sent"), FOR_GEMINI)
def test_gemini_is_told_what_it_does_not_read(schema: Any, sent: Any) -> None:
    assert property_of(schema, "gemini") == sent


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_top_level_is_an_object_and_nothing_else(dialect: Any) -> None:
    schema = {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}], "allOf": [{"required": ["a"]}]}
    sent = translated_parameters(schema, dialect)
    assert set(sent) == {"type", "properties", "required", "description"}
    assert sent["description"] == '(fits at least one of [{"required": ["a"]}])'
    assert translated_parameters({}, dialect) == {"type": "object", "properties": {}}


def test_a_package_s_faulty_schema_is_sent_without_its_faults() -> None:
    odd = {
        "a": {"type": "string", "required": True, "enum": "x", "anyOf": {}},
        "b": {"items": [{}]},
        "c": {"properties": 1},
    }
    for dialect in DIALECTS:
        sent = translated_parameters({"type": "object", "properties": odd, "allOf": "x"}, dialect)
        assert sent["properties"] == {"a": {"type": "string"}, "b": {"items": {}}, "c": {}}


def test_references_of_packages_are_replaced() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"enum": ["x"], "type": "string"}},
    }
    assert translated_parameters(schema, "gemini")["properties"] == {"a": {"enum": ["x"], "type": "string"}}
    loop = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}},
    }
    assert translated_parameters(loop, "openai")["properties"] == {"a": {"items": {}}}


def test_a_description_that_is_too_long_goes_on_elsewhere() -> None:
    function = {"name": "f", "description": "a" * 1_500, "parameters": {"type": "object", "description": "b"}}
    sent = translated({"type": "function", "function": function}, "openai")["function"]
    assert len(sent["description"]) == LONGEST_DESCRIPTION
    assert sent["parameters"]["description"] == f"{'a' * 1_500} b"


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ({"type": "number"}, {"type": ["integer", "string"]}, {"type": "integer"}),
        ({"type": ["string", "null"]}, {"type": ["null", "string"]}, {"type": ["string", "null"]}),
        ({"minimum": 1, "maxLength": 9}, {"minimum": 3, "maxLength": 4}, {"minimum": 3, "maxLength": 4}),
        ({"required": ["a"]}, {"required": ["b", "a"]}, {"required": ["a", "b"]}),
        (
            {"properties": {"a": True}},
            {"properties": {"a": {"minimum": 1}, "b": {}}},
            {"properties": {"a": {"minimum": 1}, "b": {}}},
        ),
        ({"type": "string"}, {"type": "integer"}, None),
        ({"pattern": "a"}, {"pattern": "b"}, None),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"properties": {"b": {}}}, None),
        ({"if": {}, "then": {}}, {"else": False}, None),
        ({"prefixItems": [{}]}, {"items": False}, None),
    ],
)
def test_schemas_are_joined_if_one_can_say_the_same(first: Any, second: Any, both: Any) -> None:
    assert merged(first, second) == both


@each_provider
async def test_declarations_reach_the_provider_translated(provider: str) -> None:
    bodies: list[Any] = []
    gemini = PROVIDERS[provider].dialect == "gemini"

    def reply(_: str, body: Any) -> tuple[int, Any]:
        bodies.append(body)
        return 200, candidate({"text": "ok"}) if gemini else completion(content="ok")

    schema = {"type": "object", "properties": {"n": {"type": "integer", "enum": [1, 2]}, "a": {"type": "array"}}}
    function = {"name": "f", "description": "Faz.", "parameters": schema}
    empty = {"name": "g", "description": "Nada.", "parameters": {"type": "object", "properties": {}}}
    toolbox = Toolbox([{"type": "function", "function": each} for each in (function, empty)])
    async with answering(reply) as address, at(address) as models:
        for _ in range(2):
            await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], toolbox)
    sent = translated_parameters(schema, PROVIDERS[provider].dialect)
    assert bodies[0]["tools"] == bodies[1]["tools"]
    if gemini:
        first, second = bodies[0]["tools"][0]["functionDeclarations"]
        assert (first["parameters_json_schema"], "parameters_json_schema" in second) == (sent, False)
    else:
        assert bodies[0]["tools"][0]["function"]["parameters"] == sent
