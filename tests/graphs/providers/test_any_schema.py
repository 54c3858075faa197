"""Schemas of every kind with arguments that fit, made up at random but the same in each run, at strict simulators."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from langchain_core.messages import HumanMessage, SystemMessage

from graphs.llm_client import Models, Toolbox
from graphs.providers import PROVIDERS
from graphs.providers.keywords import treatment
from graphs.providers.schemas import translated_parameters
from tests.graphs.provider_fakes import Server, at, each_provider, put, spec
from tests.platform import SimulatorUrls
from tools.kinds.json_schema import arguments_parser, iter_schemas, plain_schema

generated = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SCHOOL = "Escola dos Esquemas"

Pair = tuple[Any, Any]
"""A schema, and a value that it accepts."""

TEXTS = st.text("abç 9-", max_size=6)
NUMBERS = st.integers(-1_000, 1_000)
ANNOTATIONS: list[dict[str, Any]] = [
    {},
    {"description": "Diz o quê."},
    {"title": "Um título", "deprecated": True},
    {"default": None, "examples": ["a", 1], "$comment": "nada"},
    {"readOnly": True, "x-origem": {"type": "nada"}},
]


def _texts(value: str, which: int) -> dict[str, Any]:
    size = len(value)
    choices: list[dict[str, Any]] = [
        {"type": "string"},
        {"type": "string", "minLength": size, "maxLength": size + 3},
        {"type": "string", "pattern": "^[^z]*$"},
        {"type": ["string", "null"], "format": "uri-template"},
        {"enum": [value, "outro"]},
        {"type": "string", "const": value},
        {"type": ["string", "null"], "enum": [value, None]},
        {"enum": [value, 7, False, None, {"a": 1}]},
        {"type": "string", "not": {"const": f"{value}z"}},
    ]
    return choices[which % len(choices)]


def _numbers(value: float, which: int) -> dict[str, Any]:
    choices: list[dict[str, Any]] = [
        {"type": "number"},
        {"type": "number", "minimum": value, "maximum": value + 1},
        {"type": "number", "exclusiveMinimum": value - 1, "exclusiveMaximum": value + 1},
        {"type": ["number", "null"]},
        {"enum": [value, value + 2]},
        {"const": value},
        {"type": "number", "enum": [value], "multipleOf": 0.5},
        {"type": ["integer", "number", "string"], "format": "double"},
    ]
    return choices[which % len(choices)]


WHICH = st.integers(0, 71)
SCALARS: st.SearchStrategy[Pair] = st.one_of(
    st.builds(lambda value, which: (_texts(value, which), value), TEXTS, WHICH),
    st.builds(lambda value, which: (_numbers(value, which), value), NUMBERS, WHICH),
    st.builds(lambda value: ({"type": "integer", "minimum": value}, value), NUMBERS),
    st.builds(lambda value: (_numbers(value, 0), value + 0.5), NUMBERS),
    st.builds(lambda value: ({"type": "boolean"}, value), st.booleans()),
    st.builds(lambda value: ({"enum": [value]}, value), st.booleans()),
    st.just(({"type": "null"}, None)),
    st.sampled_from(
        [(True, "qualquer"), ({}, [1, {"a": None}]), ({"type": "object"}, {"a": 1}), ({"type": "array"}, [1])]
    ),
)


def _array(pairs: list[Pair], which: int) -> Pair:
    schemas, values = [schema for schema, _ in pairs], [value for _, value in pairs]
    size = len(values)
    choices: list[dict[str, Any]] = [
        {"type": "array"},
        {"type": ["array", "null"], "minItems": size, "maxItems": size + 1},
        {"type": "array", "items": {"anyOf": [*schemas, {"type": "null"}]}},
        {"type": "array", "prefixItems": [*schemas, True], "items": {}},
        {"type": "array", "prefixItems": [*schemas, {}], "items": False},
        {"type": "array", "contains": {}, "minContains": 0, "maxContains": size},
        {"type": "array", "items": True, "uniqueItems": False},
    ]
    return choices[which % len(choices)], values


PROPERTY_NAMES = st.sampled_from(["nome", "código", "order-id", "a b", "$filtro", "type", "enum", "1st", "required"])


def _object(pairs: dict[str, Pair], which: int) -> Pair:
    properties = {name: schema for name, (schema, _) in pairs.items()}
    values = {name: value for name, (_, value) in pairs.items()}
    names = [*properties]
    choices: list[dict[str, Any]] = [
        {"type": "object", "properties": properties, "required": names},
        {"type": "object", "properties": properties, "additionalProperties": False},
        {"type": "object", "required": names},
        {"type": "object", "additionalProperties": True, "minProperties": len(names), "maxProperties": len(names)},
        {"type": "object", "properties": properties, "dependentRequired": {"nome": names}},
        {"type": "object", "properties": properties, "propertyNames": {"maxLength": 20}},
        {"properties": properties, "required": names},
        {"type": "object", "properties": properties, "dependentSchemas": {"nome": {"required": names}}},
        {"type": ["object", "null"], "properties": {**properties, "nunca": False}},
    ]
    return choices[which % len(choices)], values


def _composed(pair: Pair, other: Pair, which: int) -> Pair:
    schema, value = pair
    choices: list[Any] = [
        {"anyOf": [schema, other[0]]},
        {"oneOf": [schema, {"not": {}}]},
        {"allOf": [schema, {"description": "Também isto."}, True]},
        {"allOf": [schema], "anyOf": [True, other[0]]},
        {"if": schema, "then": True, "else": False},
        {"not": {"not": schema}},
        {"anyOf": [schema, {"type": "null"}], "default": None},
        {"oneOf": [schema, {"type": "string", "const": "nenhum destes"}], "description": "Um só."},
        {"type": ["string", "number", "boolean", "object", "array", "null"], "anyOf": [schema, other[0]]},
    ]
    return choices[which % len(choices)], value


PAIRS: st.SearchStrategy[Pair] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(_array, st.lists(inner, max_size=3), WHICH),
        st.builds(_object, st.dictionaries(PROPERTY_NAMES, inner, max_size=3), WHICH),
        st.builds(_composed, inner, inner, WHICH),
        st.builds(
            lambda pair, note: ({**pair[0], **note} if isinstance(pair[0], dict) else pair[0], pair[1]),
            inner,
            st.sampled_from(ANNOTATIONS),
        ),
    ),
    max_leaves=8,
)
TOPS: list[dict[str, Any]] = [
    {},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Pedido"},
    {"anyOf": [{"required": []}, {"minProperties": 40}]},
    {"allOf": [{"maxProperties": 40}], "not": {"minProperties": 40}},
    {"additionalProperties": False, "oneOf": [{}, False]},
    {"additionalProperties": {"type": "string"}},
]


def _parameters(pairs: dict[str, Pair], which: int, top: dict[str, Any]) -> Pair:
    properties = {name: schema for name, (schema, _) in pairs.items()}
    required = [*properties][: which % 3]
    schema = {"type": "object", "properties": properties, "required": required, **top}
    given = {
        name: value
        for number, (name, (_, value)) in enumerate(pairs.items())
        if name in required or which % 5 != number
    }
    return schema, given


PARAMETERS = st.builds(
    _parameters, st.dictionaries(PROPERTY_NAMES, PAIRS, max_size=3), WHICH, st.sampled_from(TOPS)
).filter(lambda pair: Draft202012Validator(pair[0]).is_valid(pair[1]))


@pytest.fixture(scope="module")
async def schema_models(simulators: SimulatorUrls) -> AsyncIterator[Models]:
    """Clients of all providers: they take long to build."""
    async with at(simulators.model) as models:
        yield models


@each_provider
@generated
@given(pair=PARAMETERS)
async def test_any_schema_is_accepted_with_its_arguments(
    provider: str, pair: Pair, schema_models: Models, model_server: Server
) -> None:
    schema, arguments = plain_schema(pair[0]), pair[1]
    rules = [{"call": {"name": "pedir", "arguments": arguments}}]
    await put(model_server, "scripts", json.dumps({"name": "esquemas", "match": SCHOOL, "rules": rules}))
    function = {"name": "pedir", "description": "Pede.", "parameters": schema}
    toolbox = Toolbox([{"type": "function", "function": function}])
    message = (
        await schema_models.answer([spec(provider)], [SystemMessage(SCHOOL), HumanMessage("oi")], toolbox)
    ).message
    (call,) = message.tool_calls
    assert call["args"] == arguments
    assert arguments.items() <= arguments_parser(schema)(call["args"]).items()


@generated
@given(pair=PARAMETERS)
def test_a_translation_accepts_what_the_original_accepts(pair: Pair) -> None:
    schema, arguments = plain_schema(pair[0]), pair[1]
    for dialect in {row.dialect for row in PROVIDERS.values()}:
        sent = translated_parameters(schema, dialect)
        Draft202012Validator.check_schema(sent)
        assert Draft202012Validator(sent).is_valid(arguments)
        keywords = {keyword for _, node in iter_schemas(sent) for keyword in node}
        assert {keyword for keyword in keywords if treatment(keyword, dialect) != "sent"} == set()
