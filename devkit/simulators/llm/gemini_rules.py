"""Refuse the requests that Gemini refuses, with its errors."""

import re
from collections.abc import Iterator
from typing import Any

from devkit.simulators.llm.chat import RequestRejected
from devkit.simulators.llm.codec import Document
from devkit.simulators.llm.openai_schemas import NotValid, check_keywords, schemas_in

ROLES = {"user": "user", "model": "assistant", "function": "user"}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_PARAMETER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_SNAKE = re.compile(r"_([a-z])")
_NAME_RULE = (
    "[FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be a-z, A-Z, 0-9, or "
    "contain underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
)
_DATA = ("text", "inlineData", "functionCall", "functionResponse", "fileData", "executableCode", "codeExecutionResult")
_DECLARATION = {
    "name",
    "description",
    "behavior",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
}
_SCHEMA = {
    *("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required"),
    *("minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering"),
    *("default", "items", "minimum", "maximum"),
}
"""The fields of the API's Schema, which is not JSON Schema."""
_FORMATS = {
    "STRING": ("enum", "date-time"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}
_TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_NOT_SAID = ("", "TYPE_UNSPECIFIED")


def check_contents(payload: Document) -> None:
    """Refuse empty turns and parts, names that are not valid, and an order that is not valid."""
    contents = payload.get("contents")
    if not isinstance(contents, list) or not contents:
        raise _refused("GenerateContentRequest.contents: contents is not specified")
    before, open_calls = "", 0
    for index, content in enumerate(contents):
        role, parts = content.get("role", "user"), content.get("parts")
        if role not in ROLES:
            raise RequestRejected(400, "Please use a valid role: user, model.")
        where = f"contents[{index}].parts"
        if not parts:
            raise _refused(f"GenerateContentRequest.{where}: contents.parts must not be empty.")
        _check_parts(where, parts)
        calls = sum("functionCall" in part for part in parts)
        results = sum("functionResponse" in part for part in parts)
        _check_turn(before, open_calls, calls, results)
        before = "results" if results else "calls" if calls else ROLES[role]
        open_calls = calls
    _check_turn(before, open_calls, 0, 0)
    if before == "assistant":
        raise RequestRejected(
            400, "Please ensure that single turn requests end with a user role or the role field is empty."
        )
    instruction = payload.get("systemInstruction") or payload.get("system_instruction")
    if instruction is not None:
        if not instruction.get("parts"):
            raise _refused("GenerateContentRequest.system_instruction.parts: parts must not be empty.")
        _check_parts("system_instruction.parts", instruction["parts"])


def _check_parts(where: str, parts: list[Document]) -> None:
    for number, part in enumerate(parts):
        kinds = [kind for kind in _DATA if kind in part]
        # An empty text is accepted only with the signature of a thought.
        if not kinds or (kinds == ["text"] and part["text"] == "" and "thoughtSignature" not in part):
            text = "required oneof field 'data' must have one initialized field"
            raise _refused(f"GenerateContentRequest.{where}[{number}].data: {text}")
        for kind in ("functionCall", "functionResponse"):
            if kind in part:
                _check_name(
                    f"{where}[{number}].{'function_call' if kind == 'functionCall' else 'function_response'}",
                    part[kind],
                )
        args = part.get("functionCall", {}).get("args", {})
        response = part.get("functionResponse", {}).get("response", {})
        for name, value in (("function_call.args", args), ("function_response.response", response)):
            if not isinstance(value, dict):
                at = f"{where}[{number}].{name}"
                text = f"Invalid value at '{at}' (type.googleapis.com/google.protobuf.Struct), {value!r}"
                raise RequestRejected(400, text)


def _check_turn(before: str, open_calls: int, calls: int, results: int) -> None:
    if results and before != "calls":
        text = "function response turn comes immediately after a function call turn."
        raise RequestRejected(400, f"Please ensure that {text}")
    if results != open_calls:
        text = "the number of function response parts is equal to the number of function call parts"
        raise RequestRejected(400, f"Please ensure that {text} of the function call turn.")
    if calls and before not in ("user", "results"):
        text = "function call turn comes immediately after a user turn or after a function response turn."
        raise RequestRejected(400, f"Please ensure that {text}")


def check_options(payload: Document) -> None:
    """Refuse numbers that are out of bounds."""
    config = payload.get("generationConfig") or {}
    temperature, longest = config.get("temperature"), config.get("maxOutputTokens")
    if temperature is not None and not 0 <= temperature <= 2:
        text = "temperature must be in the range [0.0, 2.0]."
        raise _refused(f"GenerateContentRequest.generation_config.temperature: {text}")
    if longest is not None and longest < 1:
        raise _refused(
            "GenerateContentRequest.generation_config.max_output_tokens: max_output_tokens must be positive."
        )


def check_tools(payload: Document) -> None:
    """Refuse declarations that are not valid."""
    names: list[str] = []
    for number, tool in enumerate(payload.get("tools") or ()):
        for index, declared in enumerate(_fields(tool).get("functionDeclarations") or ()):
            where, function = f"tools[{number}].function_declarations[{index}]", _fields(declared)
            for field in function:
                if field not in _DECLARATION:
                    raise _unknown(field, where)
            _check_name(where, function)
            if function["name"] in names:
                raise RequestRejected(400, f"Duplicate function declaration found: {function['name']}")
            names.append(function["name"])
            _check_parameters(where, function)


def _check_parameters(where: str, function: Document) -> None:
    parameters, schema = function.get("parameters"), function.get("parametersJsonSchema")
    if parameters is not None and schema is not None:
        raise _refused(f"GenerateContentRequest.{where}: only one of parameters and parameters_json_schema can be set.")
    if parameters is not None:
        _check_fields(f"{where}.parameters", parameters)
        problems = list(_problems(f"GenerateContentRequest.{where}.parameters", parameters, top=True))
        if problems:
            raise RequestRejected(400, "".join(f"* {problem}\n" for problem in problems))
    if schema is not None:
        _check_json_schema(f"GenerateContentRequest.{where}.parameters_json_schema", schema)


def _check_json_schema(where: str, schema: Any) -> None:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise _refused(f"{where}.type: parameters must be of type OBJECT")
    try:
        for place, node in schemas_in(schema):
            check_keywords(place, node)
            values = [*node.get("enum", ())]
            if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in values):
                raise NotValid((*place, "enum"), "only allowed for strings and numbers")
            if "" in values:
                raise NotValid((*place, "enum"), "cannot be empty")
    except NotValid as problem:
        at = "".join(f"[{part}]" for part in problem.place)
        raise _refused(f"{where}{at}: {problem}") from None


def _check_fields(where: str, schema: Document) -> None:
    """Refuse what the message Schema cannot hold, before its values are looked at."""
    if not isinstance(schema, dict):
        raise RequestRejected(400, f"Invalid value at '{where}' (type.googleapis.com/google.ai.Schema), {schema!r}")
    schema = _fields(schema)
    for field, value in schema.items():
        if field not in _SCHEMA:
            raise _unknown(field, where)
        if field == "type" and isinstance(value, list):
            text = f"Unknown name \"type\" at '{where}': Proto field is not repeating, cannot start list."
            raise RequestRejected(400, f"Invalid JSON payload received. {text}")
        if field == "type" and str(value).upper() not in (*_TYPES, *_NOT_SAID):
            text = f"Invalid value at '{where}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type)"
            raise RequestRejected(400, f'{text}, "{value}"')
        for number, item in enumerate(value if field in ("enum", "required") else ()):
            if not isinstance(item, str):
                raise RequestRejected(400, f"Invalid value at '{where}.{field}[{number}]' (TYPE_STRING), {item}")
    for number, item in enumerate((schema.get("properties") or {}).values()):
        _check_fields(f"{where}.properties[{number}].value", item)
    for number, item in enumerate(schema.get("anyOf") or ()):
        _check_fields(f"{where}.any_of[{number}]", item)
    if "items" in schema:
        _check_fields(f"{where}.items", schema["items"])


def _problems(where: str, schema: Document, *, top: bool = False) -> Iterator[str]:
    schema = _fields(schema)
    kind, properties = str(schema.get("type", "")).upper(), schema.get("properties") or {}
    if kind in _NOT_SAID and "anyOf" not in schema:
        yield f"{where}.type: must be specified when not using one_of, any_of or all_of fields"
    if kind == "OBJECT" and not properties and (top or "properties" in schema):
        yield f"{where}.properties: should be non-empty for OBJECT type"
    if kind == "ARRAY" and "items" not in schema:
        yield f"{where}.items: missing field."
    if kind != "ARRAY" and "items" in schema:
        yield f"{where}.items: field predicate failed: $type == Type.ARRAY"
    if kind != "OBJECT" and properties:
        yield f"{where}.properties: only allowed for OBJECT type"
    if kind in _FORMATS and schema.get("format", _FORMATS[kind][0]) not in _FORMATS[kind]:
        supported = " and ".join(f"'{name}'" for name in _FORMATS[kind])
        yield f"{where}.format: only {supported} are supported for {kind} type"
    if schema.get("enum") and kind != "STRING":
        yield f"{where}.enum: only allowed for STRING type"
    yield from (f"{where}.enum[{n}]: cannot be empty" for n, value in enumerate(schema.get("enum", ())) if value == "")
    for number, name in enumerate(schema.get("required", ())):
        if name not in properties:
            yield f"{where}.required[{number}]: property is not defined"
    for name, item in properties.items():
        if top and not _PARAMETER.fullmatch(name):
            yield f"{where}.properties[{name}]: Invalid parameter name."
        yield from _problems(f"{where}.properties[{name}]", item)
    for number, item in enumerate(schema.get("anyOf", ())):
        yield from _problems(f"{where}.any_of[{number}]", item)
    if "items" in schema:
        yield from _problems(f"{where}.items", schema["items"])


def _check_name(where: str, named: Document) -> None:
    if not _NAME.fullmatch(str(named.get("name") or "")):
        raise RequestRejected(400, f"The GenerateContentRequest proto is invalid:\n  * {where}.name: {_NAME_RULE}")


def _fields(message: Document) -> Document:
    """Return the message with its fields in one of the two spellings that the API reads: `anyOf`, not `any_of`."""
    return {_SNAKE.sub(lambda found: found[1].upper(), field): value for field, value in message.items()}


def _unknown(field: str, where: str) -> RequestRejected:
    text = f"Unknown name \"{field}\" at '{where}': Cannot find field."
    return RequestRejected(400, f"Invalid JSON payload received. {text}")


def _refused(text: str) -> RequestRejected:
    return RequestRejected(400, f"* {text}\n")
