"""The table of JSON Schema's keywords: what each provider is sent of a tool's parameters, and what it is told in words.

A provider refuses a request, or reads it otherwise, for a keyword that it does not know. Such a keyword is written into
the description that stands next to it, which the model reads. The arguments are always checked against the original
schema, so nothing is let through because a keyword was only told.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from graphs.providers import Dialect
from tools.kinds.json_schema import KEYWORDS, UNSUPPORTED_KEYWORDS

Treatment = Literal["sent", "told in words", "replaced", "left out", "refused"]
"""`replaced`: by what it refers to. `left out`: it says nothing about arguments. `refused`: `check` reports it."""

REPLACED = ("$ref", "$defs", "definitions")

LEFT_OUT = ("$schema", "$comment", "writeOnly")

TOP_LEVEL = ("anyOf", "oneOf", "allOf", "not", "enum", "const")
"""Keywords that no provider accepts at the top level of parameters. There they are told in words."""

TOLD_TO_GEMINI = (
    *("allOf", "not", "if", "then", "else", "const", "default", "example", "examples", "deprecated", "readOnly"),
    *("pattern", "minLength", "maxLength", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("uniqueItems", "contains", "minContains", "maxContains"),
    *("minProperties", "maxProperties", "propertyNames", "dependentRequired", "dependentSchemas"),
)
"""Keywords outside the subset of JSON Schema that Gemini reads.

Google documents the subset for `responseJsonSchema`. For `parametersJsonSchema` it names none, and we take the same.
"""

TOLD: Mapping[Dialect, frozenset[str]] = {
    "openai": frozenset(),
    "groq": frozenset(),
    "gemini": frozenset(TOLD_TO_GEMINI),
}

SENT_FORMATS = ("date", "date-time", "time", "int32", "int64", "float", "double")
"""The formats that Gemini reads. Others are told in words."""

NOTES: Mapping[tuple[str, Dialect], str] = {
    ("anyOf", "gemini"): "sent if the alternatives can stand alone, otherwise told in words",
    ("oneOf", "gemini"): "sent as `anyOf`, and told in words that exactly one must fit",
    ("enum", "gemini"): "sent for texts and numbers, otherwise told in words",
    ("format", "gemini"): f"sent for {', '.join(SENT_FORMATS)}, otherwise told in words",
}
"""What is sent only in part, by keyword and provider's dialect."""


def treatment(keyword: str, dialect: Dialect) -> Treatment:
    """Return what a provider is given of a keyword."""
    if keyword in UNSUPPORTED_KEYWORDS:
        return "refused"
    if keyword in REPLACED:
        return "replaced"
    if keyword in LEFT_OUT or keyword not in KEYWORDS:
        return "left out"
    return "told in words" if keyword in TOLD[dialect] else "sent"


def as_json(value: Any) -> str:
    """Return the value as JSON, as models read it."""
    return json.dumps(value, ensure_ascii=False)


def _listed(value: Any) -> str:
    return "; ".join(
        f"with `{name}` also {', '.join(f'`{other}`' for other in others)}" for name, others in value.items()
    )


def _joint(value: Any) -> str:
    return "; ".join(f"with `{name}` it fits {as_json(schema)}" for name, schema in value.items())


WORDS: Mapping[str, Callable[[Any], str]] = {
    "allOf": lambda value: f"fits all of {as_json(value)}",
    "anyOf": lambda value: f"fits at least one of {as_json(value)}",
    "oneOf": lambda value: f"fits exactly one of {as_json(value)}",
    "not": lambda value: f"must not fit {as_json(value)}",
    "enum": lambda value: f"one of {', '.join(map(as_json, value))}",
    "const": lambda value: f"always {as_json(value)}",
    "default": lambda value: f"default: {as_json(value)}",
    "example": lambda value: f"for example {as_json(value)}",
    "examples": lambda value: f"for example {as_json(value)}",
    "deprecated": lambda value: "deprecated" if value is True else "",
    "readOnly": lambda value: "set by the other side: leave it out" if value is True else "",
    "format": lambda value: f"format: {value}",
    "pattern": lambda value: f"matches the regular expression {value}",
    "minLength": lambda value: f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "exclusiveMinimum": lambda value: f"greater than {value}",
    "exclusiveMaximum": lambda value: f"less than {value}",
    "multipleOf": lambda value: f"a multiple of {value}",
    "uniqueItems": lambda value: "no item twice" if value is True else "",
    "contains": lambda value: f"has items that fit {as_json(value)}",
    "minContains": lambda value: f"at least {value} of these",
    "maxContains": lambda value: f"at most {value} of these",
    "minProperties": lambda value: f"at least {value} properties",
    "maxProperties": lambda value: f"at most {value} properties",
    "propertyNames": lambda value: f"names of properties fit {as_json(value)}",
    "dependentRequired": _listed,
    "dependentSchemas": _joint,
    "if": lambda value: f"if it fits {as_json(value)}",
    "then": lambda value: f"then it fits {as_json(value)}",
    "else": lambda value: f"else it fits {as_json(value)}",
}
"""A keyword in words, from its value. The texts are for models."""
