"""Join JSON Schemas that must all hold into one schema, where one can say the same."""

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

TIGHTEST: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
ANNOTATIONS = ("title", "default", "example", "examples", "deprecated", "readOnly", "writeOnly")
BELONG_TOGETHER = (
    ("if", "then", "else"),
    ("contains", "minContains", "maxContains"),
    ("items", "prefixItems"),
)
"""Keywords whose meaning depends on the others in the same schema."""


def merged(first: Schema, second: Schema) -> dict[str, Any] | None:
    """Return a schema that accepts what both accept, or None if none is found."""
    if _closes(first, second) or _closes(second, first):
        return None
    for group in BELONG_TOGETHER:
        one, other = ({key: schema[key] for key in group if key in schema} for schema in (first, second))
        if one and other and one != other:
            return None
    joint = {**first, **second}
    for key in first.keys() & second.keys():
        value = _both(key, first[key], second[key])
        if value is None:
            return None
        joint[key] = value
    return joint


def _closes(first: Schema, second: Schema) -> bool:
    """Return whether `additionalProperties` of the first is about properties that only the second names."""
    if first.get("additionalProperties", True) is True:
        return False
    return not second.get("properties", {}).keys() <= first.get("properties", {}).keys()


def _both(key: str, one: Any, other: Any) -> Any:
    """Return the value of a keyword that stands for both values, or None."""
    if key in ANNOTATIONS or one == other:
        return one
    if key in TIGHTEST:
        return TIGHTEST[key](one, other)
    match key:
        case "description":
            return f"{one} {other}"
        case "required":
            return list(dict.fromkeys([*one, *other]))
        case "type":
            return _types(one, other)
        case "properties":
            return _properties(one, other)
    return None


def _types(one: Any, other: Any) -> Any:
    first, second = ([names] if isinstance(names, str) else names for names in (one, other))
    shared = [name for name in first if name in second or (name == "integer" and "number" in second)]
    shared += [name for name in second if name == "integer" and "number" in first and name not in shared]
    if not shared:
        return None
    return shared[0] if len(shared) == 1 else shared


def _properties(one: Schema, other: Schema) -> dict[str, Any] | None:
    joint = {**one, **other}
    for name in one.keys() & other.keys():
        if one[name] == other[name] or one[name] is True:
            continue
        if other[name] is True:
            joint[name] = one[name]
            continue
        both = merged(one[name], other[name]) if isinstance(one[name], dict) and isinstance(other[name], dict) else None
        if both is None:
            return None
        joint[name] = both
    return joint
