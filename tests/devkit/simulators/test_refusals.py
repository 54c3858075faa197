"""What the model simulators refuse, as the providers do, and with their words."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.platform import SimulatorUrls

OPENAI, GROQ, GEMINI = "/v1/chat/completions", "/openai/v1/chat/completions", "/v1beta/models/g:generateContent"
KEY = {"Authorization": "Bearer any", "x-goog-api-key": "any"}
USER = {"role": "user", "content": "oi"}
SAID = {"role": "user", "parts": [{"text": "oi"}]}


def called(name: str = "f", identity: Any = "a", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    """A message with one call."""
    call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}, **more}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(identity: str = "a") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": "x"}


def calling(name: str = "f", args: Any = None) -> list[dict[str, Any]]:
    """Gemini's call, with its response."""
    response = {"functionResponse": {"name": name, "response": {"output": "x"}}}
    return [
        {"role": "model", "parts": [{"functionCall": {"name": name, "args": {} if args is None else args}}]},
        {"role": "user", "parts": [response]},
    ]


def offering(properties: Any = None, name: str = "f", description: str = "", **more: Any) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    parameters = {"type": "object", "properties": {} if properties is None else properties, **more}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def declaring(schema: Any, field: str = "parameters", name: str = "f") -> dict[str, Any]:
    """A request to Gemini with one tool."""
    return {"contents": [SAID], "tools": [{"functionDeclarations": [{"name": name, field: schema}]}]}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "OBJECT", "properties": properties}


HISTORIES: list[tuple[str, list[Any]]] = [
    ("'messages[1].tool_calls[0].function.name': string does not match pattern", [USER, called("a.b"), result()]),
    ("maximum length 64, but got a string with length 65", [USER, called("a" * 65), result()]),
    ("function.name': empty string", [USER, called(""), result()]),
    ("maximum length 40, but got a string with length 41", [USER, called(identity="a" * 41), result("a" * 41)]),
    ("Missing required parameter: 'messages[1].tool_calls[0].id'", [USER, called(identity=None), result()]),
    ("expected a string, but got an object instead", [USER, called(arguments={}), result()]),
    ("Duplicate value for 'tool_call_id' of 'a'", [USER, called(), result(), result()]),
    ("'messages[0].content': empty array", [USER | {"content": []}]),
    ("Invalid value: 'audio_url'", [USER | {"content": [{"type": "audio_url"}]}]),
    ("Missing required parameter: 'messages[0].content[0].text'", [USER | {"content": [{"type": "text"}]}]),
    ("'messages[0].name': string does not match pattern", [USER | {"name": "Ana Maria"}]),
    ("'messages[1].tool_calls': empty array", [USER, {"role": "assistant", "content": "a", "tool_calls": []}]),
    ("Missing required parameter: 'messages[2].tool_call_id'", [USER, called(), {"role": "tool", "content": "x"}]),
]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("decimal above maximum value. Expected a value <= 2, but got 2.5", {"temperature": 2.5}),
    ("integer below minimum value. Expected a value >= 0, but got -1", {"temperature": -1}),
    ("'max_tokens': integer below minimum value", {"max_tokens": 0}),
    ("Invalid type for 'temperature'", {"temperature": "quente"}),
    ("maximum length 128, but got an array with length 129", {"tools": [offering(name=f"f{n}") for n in range(129)]}),
    ("Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'", {"tools": [offering(name="a b")]}),
    ("maximum length 1024, but got a string with length 1025", {"tools": [offering(description="a" * 1025)]}),
    ("Invalid value: 'retrieval'", {"tools": [{"type": "retrieval"}]}),
    ("Invalid value: 'g'. Supported values are: 'none'", {"tools": [offering()], "tool_choice": "g"}),
    ("only allowed when 'tools' are specified", {"tool_choice": "auto"}),
]
SCHEMAS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("array schema missing items", ("properties", "a"), offering({"a": {"type": "array"}})),
    ("array schema missing items", ("properties", "a"), offering({"a": {"type": ["array", "null"]}})),
    (
        "array schema missing items",
        ("properties", "a", "items"),
        offering({"a": {"type": "array", "items": {"type": "array"}}}),
    ),
    ("is not valid under any of the given schemas", ("properties", "a", "type"), offering({"a": {"type": "text"}})),
    ("has non-unique elements", ("properties", "a", "enum"), offering({"a": {"enum": ["x", "x"]}})),
    ("is not of type 'object', 'boolean'", ("properties", "a"), offering({"a": "string"})),
    ("not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level", (), offering(anyOf=[{}])),
    ("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"string\"'", (), offering(type="string")),
]
DECLARATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Invalid function name", declaring(of(a={"type": "STRING"}), name="a b")),
    (
        "Unknown name \"const\" at 'tools[0].function_declarations[0].parameters.properties[0].value'",
        declaring(of(a={"const": 1})),
    ),
    ('Unknown name "additionalProperties"', declaring(of(a={"type": "STRING"}) | {"additionalProperties": False})),
    ("Proto field is not repeating, cannot start list", declaring(of(a={"type": ["string", "null"]}))),
    ("properties[0].value.enum[0]' (TYPE_STRING), 1", declaring(of(a={"type": "INTEGER", "enum": [1, 2]}))),
    (
        "parameters.properties[a].enum: only allowed for STRING type",
        declaring(of(a={"type": "INTEGER", "enum": ["1"]})),
    ),
    ("parameters.properties[a].enum[0]: cannot be empty", declaring(of(a={"type": "STRING", "enum": [""]}))),
    ("parameters.properties[a].items: missing field", declaring(of(a={"type": "ARRAY"}))),
    ("field predicate failed: $type == Type.ARRAY", declaring(of(a={"type": "STRING", "items": {"type": "STRING"}}))),
    ("properties[a].type: must be specified when not using", declaring(of(a={"description": "x"}))),
    (
        "format: only 'enum' and 'date-time' are supported for STRING",
        declaring(of(a={"type": "STRING", "format": "uri"})),
    ),
    ("parameters.properties: should be non-empty for OBJECT type", declaring(of())),
    ("parameters.required[0]: property is not defined", declaring(of(a={"type": "STRING"}) | {"required": ["b"]})),
    ("any_of[0].items: missing field", declaring(of(a={"anyOf": [{"type": "ARRAY"}]}))),
    (
        "only allowed for strings and numbers",
        declaring({"type": "object", "properties": {"a": {"enum": [True]}}}, "parametersJsonSchema"),
    ),
    ("must be of type OBJECT", declaring({"type": "string"}, "parameters_json_schema")),
    (
        "Duplicate function declaration found: f",
        {"contents": [SAID], "tools": [{"functionDeclarations": [{"name": "f"}] * 2}]},
    ),
    (
        'Unknown name "strict"',
        {"contents": [SAID], "tools": [{"functionDeclarations": [{"name": "f", "strict": True}]}]},
    ),
    ("Invalid function name", {"contents": [SAID, *calling("a b")]}),
    ("google.protobuf.Struct", {"contents": [SAID, *calling(args=[1])]}),
    ("required oneof field 'data' must have one initialized field", {"contents": [{"parts": [{"text": ""}]}]}),
    ("end with a user role", {"contents": [SAID, {"role": "model", "parts": [{"text": "a"}]}]}),
    ("immediately after a user turn", {"contents": [SAID, {"role": "model", "parts": [{"text": "a"}]}, *calling()]}),
    ("system_instruction.parts[0].data", {"contents": [SAID], "systemInstruction": {"parts": [{"text": ""}]}}),
    ("temperature must be in the range", {"contents": [SAID], "generationConfig": {"temperature": 2.1}}),
    ("max_output_tokens must be positive", {"contents": [SAID], "generationConfig": {"maxOutputTokens": 0}}),
]


@pytest.fixture
async def http(simulators: SimulatorUrls) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(simulators.model, headers=KEY) as session:
        yield session


async def refusal(http: aiohttp.ClientSession, path: str, body: Any) -> dict[str, Any]:
    """The error of a request."""
    async with http.post(path, json=body) as answer:
        error: dict[str, Any] = (await answer.json())["error"]
        assert answer.status == 400, error
        return error


@pytest.mark.parametrize(("reason", "messages"), HISTORIES)
async def test_a_history_that_is_not_valid_is_refused(
    reason: str, messages: list[Any], http: aiohttp.ClientSession
) -> None:
    for path in (OPENAI, GROQ):
        assert reason in (await refusal(http, path, {"model": "m", "messages": messages}))["message"]


@pytest.mark.parametrize(("reason", "options"), OPTIONS)
async def test_options_out_of_bounds_are_refused(
    reason: str, options: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    for path in (OPENAI, GROQ):
        assert reason in (await refusal(http, path, {"model": "m", "messages": [USER], **options}))["message"]


@pytest.mark.parametrize(("reason", "place", "tool"), SCHEMAS)
async def test_schemas_are_refused_with_their_place(
    reason: str, place: tuple[Any, ...], tool: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    error = await refusal(http, OPENAI, {"model": "m", "messages": [USER], "tools": [tool]})
    assert error["message"].startswith("Invalid schema for function 'f': ")
    assert reason in error["message"]
    assert f"In context={place!r}" in error["message"] or not place
    assert (error["code"], error["param"]) == ("invalid_function_parameters", "tools[0].function.parameters")
    error = await refusal(http, GROQ, {"model": "m", "messages": [USER], "tools": [tool]})
    assert error["message"].startswith("invalid JSON schema for tool f, tools[0].function.parameters: ")


async def test_groq_asks_for_properties_and_json(http: aiohttp.ClientSession) -> None:
    tool = offering({"a": {"type": "object", "required": ["b"]}})
    error = await refusal(http, GROQ, {"model": "m", "messages": [USER], "tools": [tool]})
    assert "'required' present but 'properties' is missing" in error["message"]
    error = await refusal(http, GROQ, {"model": "m", "messages": [USER, called(arguments='{"a": NaN}'), result()]})
    assert "must be the JSON of an object" in error["message"]


async def test_some_openai_models_take_no_temperature(http: aiohttp.ClientSession) -> None:
    body = {"messages": [USER], "temperature": 0.3}
    for model in ("gpt-5-mini", "o3"):
        assert (await refusal(http, OPENAI, {"model": model, **body}))["code"] == "unsupported_value"
    for model in ("gpt-5-chat-latest", "gpt-4.1"):
        async with http.post(OPENAI, json={"model": model, **body}) as answer:
            assert "temperature" not in await answer.text()


@pytest.mark.parametrize(("reason", "body"), DECLARATIONS)
async def test_gemini_refuses_with_its_own_words(
    reason: str, body: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    error = await refusal(http, GEMINI, body)
    assert (error["status"], reason in error["message"]) == ("INVALID_ARGUMENT", True), error["message"]
