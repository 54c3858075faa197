"""Translate the declarations of tools to what a provider accepts. The keywords' treatment is in `keywords.py`.

A translation accepts all arguments that the original accepts. What it cannot say by keywords, its descriptions say.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from graphs.providers import Dialect
from graphs.providers.keywords import SENT_FORMATS, TOP_LEVEL, WORDS, as_json, treatment
from graphs.providers.merging import ANNOTATIONS, merged
from tools.kinds.json_schema import LISTED_SCHEMAS, NAMED_SCHEMAS, ONE_SCHEMA, Inliner, SchemaProblem

LONGEST_DESCRIPTION = 1024
"""The characters of a tool's description that OpenAI accepts."""

SHAPES: Mapping[str, type] = {
    **dict.fromkeys(LISTED_SCHEMAS, list),
    **dict.fromkeys(NAMED_SCHEMAS, dict),
    **dict.fromkeys(("required", "enum"), list),
}
"""The types of keywords' values. The schemas of packages are not checked before, as those of manifests are."""

BESIDE_ALTERNATIVES = {"description", *ANNOTATIONS}
"""The keywords that may stand beside `anyOf` at Gemini. Others are moved into each alternative."""


def translated(declaration: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return a declaration in OpenAI's form, with a description and parameters that the provider accepts."""
    function = declaration["function"]
    parameters = translated_parameters(function.get("parameters") or {}, dialect)
    description = str(function.get("description") or "")
    if len(description) > LONGEST_DESCRIPTION:
        parameters["description"] = " ".join(filter(None, (description, parameters.get("description"))))
        description = f"{description[: LONGEST_DESCRIPTION - 1]}…"
    return {
        "type": "function",
        "function": {"name": function["name"], "description": description, "parameters": parameters},
    }


def translated_parameters(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return the schema of parameters as the provider accepts it."""
    try:
        # Tools of packages have references, those of manifests have none.
        plain: dict[str, Any] = Inliner(schema, open_ended=True).copy(schema)
    except SchemaProblem:
        plain = dict(schema)
    translation = _Translation(dialect)
    top = translation.joined({"type": "object", **_shaped(plain)})
    told = {key: top.pop(key) for key in TOP_LEVEL if key in top}
    parameters = translation.node(top, [WORDS[key](value) for key, value in told.items()])
    return {**parameters, "type": "object", "properties": parameters.get("properties", {})}


class _Translation:
    """The translation to one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._gemini = dialect == "gemini"

    def schema(self, value: Any) -> dict[str, Any]:
        """Return a schema, which may be a boolean, as an object."""
        if isinstance(value, dict):
            return self.node(value)
        if value is False:
            return {"description": "(no value fits)"} if self._gemini else {"not": {}}
        return {}

    def node(self, schema: Mapping[str, Any], words: Iterable[str] = ()) -> dict[str, Any]:
        """Return a schema with only the keywords that are sent. `words` are added to its description."""
        told = list(words)
        source = self._for_gemini(_shaped(schema), told) if self._gemini else _shaped(schema)
        treated = {keyword: treatment(keyword, self._dialect) for keyword in source}
        sent = {keyword: self._value(keyword, source[keyword]) for keyword in source if treated[keyword] == "sent"}
        # In the order of the table, in which `then` follows `if`.
        told += [WORDS[keyword](source[keyword]) for keyword in WORDS if treated.get(keyword) == "told in words"]
        told += [f"{keyword}: {as_json(source[keyword])}" for keyword in source if treated[keyword] == "refused"]
        if _may_be(sent, "array"):
            # OpenAI refuses an array of unsaid items.
            sent.setdefault("items", {})
        self._name_required(sent)
        if any(told):
            said = sent.get("description")
            sent["description"] = " ".join(filter(None, (said, f"({'; '.join(filter(None, told))})")))
        return sent

    def joined(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema with those parts of `allOf` that it can say itself."""
        left: list[Any] = []
        for part in schema.pop("allOf", ()):
            both = merged(schema, self.joined(_shaped(part))) if isinstance(part, dict) else None
            if both is not None:
                left += both.pop("allOf", [])
                schema = both
            elif part is not True:
                left.append(part)
        return {**schema, "allOf": left} if left else schema

    def _value(self, keyword: str, value: Any) -> Any:
        if keyword == "additionalProperties" and isinstance(value, bool):
            return value
        if keyword in ONE_SCHEMA:
            return self.schema(value)
        if keyword in LISTED_SCHEMAS:
            return [self.schema(item) for item in value]
        if keyword in NAMED_SCHEMAS:
            return {name: self.schema(item) for name, item in value.items()}
        if keyword in ("required", "type", "enum") and isinstance(value, list):
            # A list with something twice is no valid JSON Schema.
            return list({as_json(item): item for item in value}.values())
        return value

    def _name_required(self, sent: dict[str, Any]) -> None:
        """Name the required properties: Groq and Gemini refuse to require others."""
        rest = sent.get("additionalProperties", {})
        missing = [name for name in sent.get("required", ()) if name not in sent.get("properties", {})]
        if missing:
            named = dict.fromkeys(missing, rest if isinstance(rest, dict) else {})
            sent["properties"] = {**sent.get("properties", {}), **named}

    def _for_gemini(self, schema: dict[str, Any], told: list[str]) -> dict[str, Any]:
        """Return the schema with alternatives that stand alone, and enums of one type. Add words to `told`."""
        schema = self.joined(schema)
        if "const" in schema:
            # As an enum it can be sent, if it is a text or a number.
            schema.setdefault("enum", [schema.pop("const")])
        schema = _with_choices(schema, told)
        if schema.get("format") not in (None, *SENT_FORMATS):
            told.append(WORDS["format"](schema.pop("format")))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                schema = _standing_alone(schema, keyword, told)
        return schema


def _standing_alone(schema: dict[str, Any], keyword: str, told: list[str]) -> dict[str, Any]:
    """Return the schema with alternatives and only annotations beside them, or without these alternatives."""
    alternatives = schema.pop(keyword)
    beside = {key: value for key, value in schema.items() if key in BESIDE_ALTERNATIVES}
    rest = {key: value for key, value in schema.items() if key not in BESIDE_ALTERNATIVES}
    whole = [merged(part, rest) if isinstance(part, dict) else None for part in alternatives]
    if "anyOf" in rest or "oneOf" in rest or None in whole:
        told.append(WORDS[keyword](alternatives))
        return schema
    if keyword == "oneOf" and len(alternatives) > 1:
        told.append("exactly one of the alternatives fits")
    return {**beside, "anyOf": whole}


def _with_choices(schema: dict[str, Any], told: list[str]) -> dict[str, Any]:
    """Return the schema with an enum of texts or of numbers, or without one: Gemini accepts no other enums."""
    values = schema.pop("enum", None)
    if values is None:
        return schema
    given = [value for value in values if value is not None]
    kind = _kind(given)
    if kind is None or "" in given or (given != values and "anyOf" in schema):
        told.append(WORDS["enum"](values))
        return schema
    if given != values:
        return {**schema, "anyOf": [{"type": kind, "enum": given}, {"type": "null"}]}
    # The values decide the type: of several that the schema allows, the others have no value left.
    allowed = schema.get("type", kind)
    return {**schema, "type": allowed if isinstance(allowed, str) else kind, "enum": values}


def _kind(values: Iterable[Any]) -> str | None:
    """Return the type of texts or of numbers, or None if the values are others or of several types."""
    kinds = {type(value) for value in values}
    if kinds == {str}:
        return "string"
    if kinds and kinds <= {int, float}:
        return "integer" if kinds == {int} else "number"
    return None


def _shaped(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if isinstance(value, SHAPES.get(key, object))}


def _may_be(schema: Mapping[str, Any], kind: str) -> bool:
    kinds = schema.get("type", ())
    return kind == kinds or (isinstance(kinds, list) and kind in kinds)
