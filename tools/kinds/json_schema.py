"""JSON Schema for tools: without references, and with a cost of checking that a model cannot drive up."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from math import isfinite
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

from tools.base import InvalidArguments
from tools.names import nearest
from tools.ports import JSON

SchemaPath = tuple[int | str, ...]
"""The keys and indexes that lead to a value."""

MAX_VALUES = 4_000
"""Values in the schema of one tool, after its references are replaced."""

MAX_DEPTH = 40
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that Postgres cannot store as text."""

CHECKED_FORMATS = ("date", "date-time", "email", "ipv4", "ipv6", "uuid")
MAX_PROBLEMS = 5
MAX_PROBLEM_LENGTH = 300
UNSUPPORTED_KEYWORDS = {
    "patternProperties": "name the properties under `properties`",
    "$dynamicRef": "use `$ref`",
    "$anchor": "use `$ref` with a path, such as `#/$defs/address`",
    "$id": "leave it out: schemas are not looked up",
    "unevaluatedProperties": "use `additionalProperties`",
    "unevaluatedItems": "use `items`",
    "additionalItems": "use `prefixItems` and `items`",
    "dependencies": "use `dependentRequired` or `dependentSchemas`",
    "nullable": 'write the type as a list, such as `[string, "null"]`',
    "discriminator": "use `const` in each alternative",
}
"""Keywords that are refused, and what to write instead."""

ONE_SCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
LISTED_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
NAMED_SCHEMAS = ("properties", "dependentSchemas")
SAME_OBJECT = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""Keywords whose schemas are about the same value as the schema that has them."""

LENGTHS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains")
TYPES = {"enum": ["string", "number", "integer", "boolean", "object", "array", "null"]}
A_SCHEMA = {"type": ["object", "boolean"]}
KEYWORDS: dict[str, Any] = {
    "type": {"anyOf": [TYPES, {"type": "array", "items": TYPES, "minItems": 1}]},
    "required": {"type": "array", "items": {"type": "string"}},
    "dependentRequired": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    "enum": {"type": "array", "minItems": 1},
    "multipleOf": {"type": "number", "exclusiveMinimum": 0},
    "uniqueItems": {"type": "boolean"},
    **dict.fromkeys(ONE_SCHEMA, A_SCHEMA),
    **{key: {"type": "array", "items": A_SCHEMA, "minItems": 1} for key in LISTED_SCHEMAS},
    **{key: {"type": "object", "additionalProperties": A_SCHEMA} for key in NAMED_SCHEMAS},
    **{key: {"type": "integer", "minimum": 0} for key in (*LENGTHS, "maxContains")},
    **{key: {"type": "number"} for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
    **{key: {"type": "string"} for key in ("pattern", "format", "title", "description", "$schema", "$comment")},
    **dict.fromkeys(("const", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"), True),
}
"""The schema of each allowed keyword. Checks with the official meta-schema take ten times longer."""


class SchemaProblem(ValueError):
    """The schema cannot be used for a tool. `where` is the location of the problem."""

    def __init__(self, where: SchemaPath, message: str) -> None:
        super().__init__(message)
        self.where = where


class SchemaTooLarge(SchemaProblem):
    """The schema has more than MAX_VALUES values, or more than MAX_DEPTH levels."""


class Inliner:
    """Copies values of a document and replaces every `$ref` with its target in the same document.

    `open_ended`: a schema that contains itself is replaced with one that accepts everything; otherwise it is a
    SchemaProblem. Unknown targets and copies of more than MAX_VALUES values are SchemaProblems, too.
    """

    def __init__(self, document: Any, *, open_ended: bool = False) -> None:
        self._document = document
        self._open_ended = open_ended
        self._left = MAX_VALUES

    def copy(self, value: Any, where: SchemaPath = (), open_references: tuple[str, ...] = ()) -> Any:
        """Return the value without references. Raises SchemaProblem."""
        self._left -= 1
        if self._left < 0 or len(where) > MAX_DEPTH:
            raise SchemaTooLarge(where[:1], f"too large: more than {MAX_VALUES} values, or {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            reference = value.get("$ref")
            if isinstance(reference, str):
                return self._resolve(value, reference, where, open_references)
            return {str(key): self.copy(item, (*where, key), open_references) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(item, (*where, number), open_references) for number, item in enumerate(value)]
        if isinstance(value, float) and not isfinite(value):
            raise SchemaProblem(where, f"expected a number that JSON can say, not {value}")
        return value if value is None or isinstance(value, str | int | float) else str(value)

    def _resolve(
        self, value: Mapping[str, Any], reference: str, where: SchemaPath, open_references: tuple[str, ...]
    ) -> Any:
        if reference in open_references:
            if self._open_ended:
                return {}
            raise SchemaProblem((*where, "$ref"), "a schema that contains itself cannot be sent to a model")
        target = self.copy(self._look_up(reference, where), where, (*open_references, reference))
        siblings = {key: item for key, item in value.items() if key != "$ref"}
        return {**target, **self.copy(siblings, where, open_references)} if isinstance(target, dict) else target

    def _look_up(self, reference: str, where: SchemaPath) -> Any:
        if not reference.startswith("#/") and reference != "#":
            raise SchemaProblem((*where, "$ref"), f"`{reference}`: a reference must stay within the file, as in `#/…`")
        node = self._document
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(key)] if isinstance(node, list) else node[key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise SchemaProblem((*where, "$ref"), f"`{reference}` does not exist") from None
        return node


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Check the schema of a tool's parameters, and return it without references. Raises SchemaProblem."""
    plain: dict[str, Any] = Inliner(schema).copy(schema)
    if plain.get("type") != "object":
        raise SchemaProblem(("type",) if "type" in plain else (), "parameters must be of `type: object`")
    for where, node in iter_schemas(plain):
        node.pop("$defs", None)
        node.pop("definitions", None)
        _check(node, where)
    for where, name in unknown_required(plain):
        raise SchemaProblem(where, f"`{name}` is not among the properties{nearest(name, _property_names(plain))}")
    _check_named(plain)
    return plain


def _check_named(plain: Mapping[str, Any]) -> None:
    """Check that arguments of inner schemas are named at the top. Others would be refused when the tool is called."""
    named = plain.get("properties", {})
    if plain.get("additionalProperties", False) is not False:
        return
    for where, node in _applied(plain):
        for name in node.get("properties", {}):
            if name not in named:
                raise SchemaProblem(
                    (*where, "properties", name), f"arguments are read from the top: name `{name}` there too, as `{{}}`"
                )


def _applied(node: Mapping[str, Any], where: SchemaPath = ()) -> Iterator[tuple[SchemaPath, dict[str, Any]]]:
    """Yield the schemas inside a schema that are about the same value."""
    inside: list[tuple[SchemaPath, Any]] = [
        ((keyword, number), item)
        for keyword in ("allOf", "anyOf", "oneOf")
        for number, item in enumerate(node.get(keyword, ()))
    ]
    inside += [((keyword,), node[keyword]) for keyword in ("if", "then", "else") if keyword in node]
    inside += [(("dependentSchemas", name), item) for name, item in node.get("dependentSchemas", {}).items()]
    for place, item in inside:
        if isinstance(item, dict):
            yield (*where, *place), item
            yield from _applied(item, (*where, *place))


def _check(node: dict[str, Any], where: SchemaPath) -> None:
    """Check one schema, but not the schemas inside it."""
    for keyword in node:
        if keyword in UNSUPPORTED_KEYWORDS:
            raise SchemaProblem((*where, keyword), f"`{keyword}` is not supported: {UNSUPPORTED_KEYWORDS[keyword]}")
        if keyword not in KEYWORDS and not keyword.startswith("x-"):
            hint = nearest(keyword, KEYWORDS)
            raise SchemaProblem((*where, keyword), f"unknown keyword `{keyword}` of JSON Schema{hint}")
    error = next(iter(_KEYWORDS.iter_errors(node)), None)
    if error is not None:
        raise SchemaProblem((*where, *error.absolute_path), f"not a JSON Schema: {_shorten(error)}")
    if (reason := pattern_problem(node.get("pattern"))) is not None:
        raise SchemaProblem((*where, "pattern"), reason)
    for number, value in enumerate(node.get("enum", ())):
        if not fits(value, node.get("type")):
            raise SchemaProblem((*where, "enum", number), f"{json.dumps(value)} is not of `type: {_types_text(node)}`")


def fits(value: Any, types: Any) -> bool:
    """Return whether a value has one of the types of a schema. `types` is None, a name, or a list of names."""
    listed = types if isinstance(types, list) else [types]
    return types is None or any(_TYPES.is_type(value, name) for name in listed)


def unknown_required(
    node: Any, where: SchemaPath = (), known: frozenset[str] = frozenset()
) -> Iterator[tuple[SchemaPath, str]]:
    """Yield the names under `required` that no property has, each with its location.

    A schema that allows further properties by `additionalProperties` may require any name. `known` are properties of
    the same object that schemas around this one name.
    """
    if not isinstance(node, dict):
        return
    known |= _property_names(node)
    listed = () if node.get("additionalProperties", False) is not False else node.get("required") or ()
    yield from (((*where, "required", number), name) for number, name in enumerate(listed) if name not in known)
    for keyword, item, inner in _schemas_inside(node):
        same = keyword in SAME_OBJECT
        yield from unknown_required(item, (*where, *inner), known if same else frozenset())


def _types_text(node: Mapping[str, Any]) -> str:
    return node["type"] if isinstance(node["type"], str) else json.dumps(node["type"])


def _property_names(node: Any) -> frozenset[str]:
    if not isinstance(node, dict):
        return frozenset()
    inside = (_property_names(item) for keyword, item, _ in _schemas_inside(node) if keyword in SAME_OBJECT - {"not"})
    return frozenset(node.get("properties") or ()).union(*inside)


def _schemas_inside(node: dict[str, Any]) -> Iterator[tuple[str, Any, SchemaPath]]:
    """Yield keyword, schema and relative location of the schemas directly inside this one."""
    for keyword in ONE_SCHEMA:
        if keyword in node:
            yield keyword, node[keyword], (keyword,)
    for keyword in LISTED_SCHEMAS:
        yield from ((keyword, item, (keyword, number)) for number, item in enumerate(node.get(keyword) or ()))
    for keyword in NAMED_SCHEMAS:
        yield from ((keyword, item, (keyword, name)) for name, item in (node.get(keyword) or {}).items())


def iter_schemas(node: Any, where: SchemaPath = ()) -> Iterator[tuple[SchemaPath, dict[str, Any]]]:
    """Yield a schema and all schemas inside it, with their locations, outermost first."""
    if not isinstance(node, dict):
        return
    yield where, node
    for _, item, inner in _schemas_inside(node):
        yield from iter_schemas(item, (*where, *inner))


def pattern_problem(pattern: Any) -> str | None:
    """Return why a pattern cannot be used, or None if it can."""
    try:
        if isinstance(pattern, str):
            _compile_pattern(pattern)
    except SchemaError:
        return "not a supported regular expression: look-around and back-references are not supported"
    return None


def arguments_parser(schema: Mapping[str, Any]) -> Callable[[JSON], dict[str, Any]]:
    """Return a function that checks a model's arguments and adds defaults. It raises InvalidArguments.

    A default that its own schema does not accept is not added: documents say null for what may be left out. Arguments
    that the schema does not name are refused, unless it allows `additionalProperties`.
    """
    closed = {**schema, "additionalProperties": schema.get("additionalProperties", False)}
    properties: Mapping[str, Any] = schema.get("properties", {})
    defaults = {
        name: item["default"] for name, item in properties.items() if isinstance(item, dict) and "default" in item
    }
    return partial(_parse, closed, defaults)


def _parse(schema: Mapping[str, Any], defaults: Mapping[str, Any], arguments: JSON) -> dict[str, Any]:
    # Made for each call: it takes memory, and most tools of most tenants are rarely called. With an empty registry it
    # never fetches a remote schema.
    validator = _Validator(schema, registry=Registry(), format_checker=_formats())
    absent = {name: value for name, value in defaults.items() if name not in arguments}
    fitting = {name: value for name, value in absent.items() if _accepts(validator, name, value)}
    complete = {**fitting, **arguments}
    for value in _scalars(complete):
        if isinstance(value, str) and UNSTORABLE.search(value):
            raise InvalidArguments("a text holds a NUL or an unpaired surrogate")
        if isinstance(value, float) and not isfinite(value):
            raise InvalidArguments("a number is not finite")
    errors = []
    for error in validator.iter_errors(complete):
        errors.append(f"{_path(error)}: {_shorten(error)}")
        if len(errors) == MAX_PROBLEMS:
            break
    if errors:
        raise InvalidArguments("; ".join(errors))
    return complete


def _accepts(validator: Any, name: str, value: Any) -> bool:
    accepted: bool = validator.evolve(schema=validator.schema["properties"][name]).is_valid(value)
    return accepted


def _scalars(value: Any) -> Iterator[Any]:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            left.extend(item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        else:
            yield item


def _path(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "arguments"


def _shorten(error: ValidationError) -> str:
    message, half = str(error.message), MAX_PROBLEM_LENGTH // 2
    # The message begins with the given value and ends with what was expected; both are kept.
    return message if len(message) <= MAX_PROBLEM_LENGTH else f"{message[:half]}…{message[-half:]}"


@lru_cache(maxsize=2_000)
def _compile_pattern(pattern: str) -> SchemaValidator:
    # The time of Pydantic's engine is linear in the text. Python's `re` can need exponential time.
    return SchemaValidator(core_schema.str_schema(pattern=pattern))


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _compile_pattern(pattern).isinstance_python(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_TYPES = Draft202012Validator({})
_KEYWORDS = Draft202012Validator({"properties": KEYWORDS})
_Validator: Any = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _formats() -> FormatChecker:
    checker = FormatChecker(formats=[name for name in CHECKED_FORMATS if not name.startswith("date")])
    checker.checks("date", raises=ValueError)(_is_date)
    checker.checks("date-time", raises=ValueError)(_is_date_time)
    return checker


def _is_date(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and date.fromisoformat(value) is not None)


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or ("T" in value.upper() and datetime.fromisoformat(value) is not None)
