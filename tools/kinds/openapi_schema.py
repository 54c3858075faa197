"""Convert the schemas of OpenAPI 3.0, 3.1 and Swagger 2 to JSON Schema without references.

Others wrote the documents, so that a keyword with an impossible value is left out, and only what has no meaning at all
is refused.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Any

from tools.kinds.json_schema import (
    CHECKED_FORMATS,
    LENGTHS,
    MAX_DEPTH,
    MAX_VALUES,
    SchemaTooLarge,
    fits,
    iter_schemas,
    pattern_problem,
    unknown_required,
)
from tools.kinds.openapi_document import Documents, OpenApiNode, OpenApiProblem

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
}
"""How a text is read as a value of a type."""
ANNOTATIONS = frozenset({"description", "default"})
LARGEST_NUMBER = 2**53
MAX_DESCRIPTION_LENGTH = 1_000

Reference = tuple[str, tuple[str | int, ...]]
"""File and path of a schema that is being converted."""


def _is_number(value: Any) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and isfinite(value) and abs(value) <= LARGEST_NUMBER


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER


KEPT_VALUES: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **{name: _is_length for name in LENGTHS if name != "minContains"},
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "uniqueItems": lambda value: isinstance(value, bool),
    "pattern": lambda value: isinstance(value, str) and pattern_problem(value) is None,
    "format": lambda value: value in CHECKED_FORMATS,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda _: True,
    "default": lambda _: True,
}
"""Keywords without schemas inside that are kept, and what their value must be. The others are left out."""


class SchemaConverter:
    """Converts schemas. Below `levels` of objects and lists, a schema that accepts everything takes their place."""

    def __init__(self, documents: Documents, levels: int) -> None:
        self._documents = documents
        self._levels = levels
        self._left = MAX_VALUES

    def convert(self, node: OpenApiNode) -> dict[str, Any]:
        """Return the schema for requests. Raises OpenApiProblem, SchemaTooLarge."""
        schema = self._convert(node, 0, ())
        unknown = set(unknown_required(schema))
        for where, inner in iter_schemas(schema):
            if "required" in inner:
                places = ((*where, "required", number) for number in range(len(inner["required"])))
                inner["required"] = [
                    name for place, name in zip(places, inner["required"], strict=True) if (place, name) not in unknown
                ]
        return schema

    def _convert(self, node: OpenApiNode, level: int, within: tuple[Reference, ...]) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0 or len(within) > MAX_DEPTH:
            raise SchemaTooLarge((), f"too large: more than {MAX_VALUES} values, or {MAX_DEPTH} levels")
        if node.value is None or node.value is True:
            return {}
        if node.value is False:
            return {"not": {}}
        if not isinstance(node.value, Mapping):
            raise OpenApiProblem("a schema is not a mapping, so it is not valid OpenAPI", node)
        if isinstance(node.get("$ref"), str):
            return self._referenced(node, level, within)
        schema = self._values(node)
        schema |= self._inner_schemas(node, level, within)
        schema = self._combined(_consistent(schema), node, level, within)
        return _nullable(schema) if node.get("nullable") is True else schema

    def _referenced(self, node: OpenApiNode, level: int, within: tuple[Reference, ...]) -> dict[str, Any]:
        target = self._documents.use(self._documents.target(node))
        place = (target.file, target.path)
        # A schema that contains itself cannot be written without references.
        found = {} if place in within else self._convert(target, level, (*within, place))
        beside = {key: item for key, item in node.value.items() if key not in ("$ref", "nullable")}
        if beside:
            further = self._convert(OpenApiNode(beside, node.file, node.path), level, within)
            clash = (found.keys() & further.keys()) - ANNOTATIONS
            found = {"allOf": [found, further]} if clash else {**found, **further}
        return _nullable(found) if node.get("nullable") is True else found

    def _values(self, node: OpenApiNode) -> dict[str, Any]:
        value = {key: item for key, item in node.value.items() if key in KEPT_VALUES}
        # In OpenAPI 3.0 an exclusive bound is a boolean next to the bound; in JSON Schema it is the bound itself.
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if value.get(exclusive) is True and bound in value:
                value[exclusive] = value.pop(bound)
        kept = {key: item for key, item in value.items() if KEPT_VALUES[key](item)}
        named = node.get("type")
        types = [name for name in (named if isinstance(named, list) else [named]) if name in TYPES]
        if types:
            kept = {"type": types[0] if len(types) == 1 else types, **kept}
        self._left -= len(kept) + len(kept.get("enum", ()))
        if isinstance(node.get("description"), str):
            kept["description"] = node.value["description"][:MAX_DESCRIPTION_LENGTH]
        return kept

    def _inner_schemas(self, node: OpenApiNode, level: int, within: tuple[Reference, ...]) -> dict[str, Any]:
        """Return the keywords of objects and lists."""
        if level >= self._levels:
            return {"items": {}} if "items" in node else {}
        schema: dict[str, Any] = {}
        required = node.get("required")
        if "properties" in node:
            # The server sets what is read-only; a request must not contain it.
            holder = self._documents.resolve(node.child("properties"))
            properties = [(name, item) for name, item in holder.entries() if not self._is_read_only(item)]
            schema["properties"] = {name: self._convert(item, level + 1, within) for name, item in properties}
        if isinstance(required, list):
            schema["required"] = list(dict.fromkeys(name for name in required if isinstance(name, str)))
        further = node.child("additionalProperties")
        if "patternProperties" not in node and isinstance(further.value, bool):
            schema["additionalProperties"] = further.value
        elif "patternProperties" not in node and isinstance(further.value, Mapping):
            schema["additionalProperties"] = self._convert(further, level + 1, within)
        items = "items" if isinstance(node.get("items"), list) else "prefixItems"
        if listed := [self._convert(item, level + 1, within) for item in node.items(items)]:
            schema["prefixItems"] = listed
        if isinstance(node.get("items"), Mapping):
            schema["items"] = self._convert(node.child("items"), level + 1, within)
        return schema

    def _combined(
        self, schema: dict[str, Any], node: OpenApiNode, level: int, within: tuple[Reference, ...]
    ) -> dict[str, Any]:
        """Add the schemas that are combined with this one."""
        together = [self._convert(item, level, within) for item in node.items("allOf")]
        # Parts of `oneOf` that lose a keyword would fit at the same time, so that nothing would fit exactly one.
        choices = [
            [self._convert(item, level, within) for item in node.items(keyword)] for keyword in ("anyOf", "oneOf")
        ]
        choices = [choice for choice in choices if choice and {} not in choice]
        if len(choices) == 1 and "anyOf" not in schema:
            schema["anyOf"] = choices[0]
        else:
            together += [{"anyOf": choice} for choice in choices]
        excluded = node.get("not")
        if isinstance(excluded, Mapping):
            inner = self._convert(node.child("not"), level, within)
            if inner.keys() == excluded.keys():
                schema["not"] = inner
        together = [part for part in together if part]
        if len(together) == 1 and not (schema.keys() & together[0].keys()) - ANNOTATIONS:
            return {**together[0], **schema}
        return {**schema, "allOf": together} if together else schema

    def _is_read_only(self, node: OpenApiNode) -> bool:
        """Return whether a property is set by the server alone."""
        for _ in range(MAX_DEPTH):
            if node.get("readOnly") is True:
                return True
            parts = node.get("allOf")
            if isinstance(node.get("$ref"), str):
                node = self._documents.use(self._documents.target(node))
            elif isinstance(parts, list) and len(parts) == 1:
                node = node.child("allOf").child(0)
            else:
                return False
        return False


def _consistent(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with values that fit its type, and a type where its keywords imply one."""
    if "type" not in schema:
        implied = "object" if "properties" in schema else "array" if {"items", "prefixItems"} & schema.keys() else None
        schema = {"type": implied, **schema} if implied else schema
    types = schema.get("type")
    if "enum" in schema:
        schema["enum"] = [value for value in (_typed(value, types) for value in schema["enum"]) if fits(value, types)]
        if not schema["enum"]:
            del schema["enum"]
    for keyword in ("const", "default"):
        if keyword in schema:
            schema[keyword] = _typed(schema[keyword], types)
            if not fits(schema[keyword], types):
                del schema[keyword]
    if "default" in schema and "enum" in schema and schema["default"] not in schema["enum"]:
        del schema["default"]
    return schema


def _typed(value: Any, types: Any) -> Any:
    """Return a value as the type has it: documents write 1 for "1", and the other way round."""
    listed = types if isinstance(types, list) else [types]
    if fits(value, types):
        return value
    if "string" in listed and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        for name in (name for name in READERS if name in listed):
            with suppress(ValueError, KeyError):
                return READERS[name](value)
    return value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema.get("type")
    if types is None or {"allOf", "anyOf", "not", "const"} & schema.keys():
        if not schema.keys() - ANNOTATIONS:
            return schema
        outside = {key: item for key, item in schema.items() if key in ANNOTATIONS}
        inside = {key: item for key, item in schema.items() if key not in ANNOTATIONS}
        return {**outside, "anyOf": [inside, {"type": "null"}]}
    listed = types if isinstance(types, list) else [types]
    schema = {**schema, "type": [*listed, "null"] if "null" not in listed else listed}
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
