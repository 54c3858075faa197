"""Refuse the parameters of tools that OpenAI and Groq refuse, with their errors."""

from collections.abc import Iterator
from typing import Any

from devkit.simulators.llm.chat import RequestRejected

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
LENGTHS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
ONE_SCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
LISTED_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
NAMED_SCHEMAS = ("properties", "dependentSchemas", "$defs", "definitions", "patternProperties")
_NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "not")

type Place = tuple[int | str, ...]


class NotValid(Exception):
    """A schema that is no valid JSON Schema, with the place of the fault in it."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def check_parameters(name: str, where: str, parameters: Any, *, groq: bool) -> None:
    """Refuse parameters that are no object, and arrays whose items are not said. None stands for no parameters."""
    if parameters is None:
        return
    try:
        _check_top(parameters)
        for place, node in schemas_in(parameters):
            check_keywords(place, node)
            if _is_array(node) and not isinstance(node.get("items"), dict):
                raise NotValid(place, "array schema missing items.")
            if groq and node.get("required") and "properties" not in node:
                raise NotValid(place, "'required' present but 'properties' is missing")
    except NotValid as problem:
        raise _refusal(name, where, problem, groq) from None


def _refusal(name: str, where: str, problem: NotValid, groq: bool) -> RequestRejected:
    if groq:
        place = "".join(f"/{part}" for part in problem.place)
        text = f"invalid JSON schema for tool {name}, {where}.parameters: {place + ': ' if place else ''}{problem}"
        return RequestRejected(400, text, param=f"tool {name}, {where}.parameters")
    at = f"In context={problem.place!r}, " if problem.place or "missing" in str(problem) else ""
    return RequestRejected(
        400,
        f"Invalid schema for function '{name}': {at}{problem}",
        "invalid_function_parameters",
        f"{where}.parameters",
    )


def _check_top(parameters: Any) -> None:
    kind = parameters.get("type") if isinstance(parameters, dict) else None
    if kind != "object":
        raise NotValid((), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.")
    if any(keyword in parameters for keyword in _NOT_AT_THE_TOP):
        names = "/".join(f"'{keyword}'" for keyword in _NOT_AT_THE_TOP)
        raise NotValid((), f"schema must have type 'object' and not have {names} at the top level.")
    if not isinstance(parameters.get("properties"), dict):
        raise NotValid((), "object schema missing properties.")


def schemas_in(node: Any, place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield a schema and all schemas inside it with their places. Raises NotValid for what is no schema."""
    if isinstance(node, bool) and place:
        return
    if not isinstance(node, dict):
        raise NotValid(place, f"{node!r} is not of type 'object', 'boolean'.")
    yield place, node
    for keyword in ONE_SCHEMA:
        if keyword in node:
            yield from schemas_in(node[keyword], (*place, keyword))
    for keyword in LISTED_SCHEMAS:
        if keyword in node and (not isinstance(node[keyword], list) or not node[keyword]):
            raise NotValid((*place, keyword), f"{node[keyword]!r} is not a non-empty array.")
        for number, item in enumerate(node.get(keyword, ())):
            yield from schemas_in(item, (*place, keyword, number))
    for keyword in NAMED_SCHEMAS:
        if not isinstance(node.get(keyword, {}), dict):
            raise NotValid((*place, keyword), f"{node[keyword]!r} is not of type 'object'.")
        for name, item in node.get(keyword, {}).items():
            yield from schemas_in(item, (*place, keyword, name))


def check_keywords(place: Place, node: dict[str, Any]) -> None:
    """Refuse keywords with values of a wrong type. Raises NotValid."""
    kinds = node.get("type", "object")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in TYPES:
            raise NotValid((*place, "type"), f"{kind!r} is not valid under any of the given schemas.")
    for keyword in ("required", "enum", "type"):
        values = node.get(keyword)
        if isinstance(values, list) and len({repr(value) for value in values}) < len(values):
            raise NotValid((*place, keyword), f"{values!r} has non-unique elements.")
    for keyword in ("required", "enum"):
        if not isinstance(node.get(keyword, []), list):
            raise NotValid((*place, keyword), f"{node[keyword]!r} is not of type 'array'.")
    if node.get("enum") == [] or kinds == []:
        raise NotValid(place, "[] should be non-empty.")
    if not all(isinstance(name, str) for name in node.get("required", ())):
        raise NotValid((*place, "required"), f"{node['required']!r} is not an array of strings.")
    for keyword in (*NUMBERS, *LENGTHS):
        value = node.get(keyword, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or (keyword in LENGTHS and value < 0):
            raise NotValid((*place, keyword), f"{value!r} is not a valid number.")
    for keyword in ("title", "description", "format", "pattern"):
        if not isinstance(node.get(keyword, ""), str):
            raise NotValid((*place, keyword), f"{node[keyword]!r} is not of type 'string'.")


def _is_array(node: dict[str, Any]) -> bool:
    kinds = node.get("type")
    return kinds == "array" or (isinstance(kinds, list) and "array" in kinds)
