"""Generate the reference of assistant.yaml from its schema: JSON Schema for editors, and a page for people."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from manifest.answer_examples import ANSWERS, TODAY
from manifest.keyword_reference import keyword_table
from manifest.schema import Manifest
from manifest.special_days import HOLIDAYS, VACATIONS
from tools.kinds.trusted_values import TRUSTED
from tools.registry import BUILTIN

Node = dict[str, Any]

DURATION: Node = {
    "type": "string",
    "pattern": r"^\d{1,6}(\.\d{1,3})?(ms|s|m|h|d)$",
    "examples": ["500ms", "2s", "30m", "24h", "7d"],
}
COUNT: Node = {"type": ["integer", "string"], "pattern": r"^\d{1,9}[kM]?$", "examples": [2000, "500k", "5M"]}
HOURS: Node = {
    "type": "string",
    "pattern": r"^([^:]*\d.*|[A-Za-zÀ-ÿ ]+)$",
    "examples": ["08:00-18:00", "9h às 18h", "18:00-02:00", "08:00-12:00, 13:00-18:00", "24h", "closed"],
}
DAYS: Node = {
    "type": "string",
    "pattern": r"^[A-Za-zÀ-ÿ2-6][^:]+$",
    "examples": ["mon-fri", "tue,thu,sat", "seg a sex", "sábado e domingo"],
}
SPANS: Node = {"anyOf": [HOURS, {"type": "array", "items": HOURS}]}
DATES: Node = {"type": "string", "pattern": r"^.*\d.*$", "examples": ["2026-12-25", "25/12", "20/12 - 05/01"]}
SPECIAL_DAYS: Node = {
    "anyOf": [
        DATES,
        {"type": "array", "items": {"anyOf": [DATES, {"type": "object"}]}},
        {"type": "object"},
    ]
}
OPENING_DAYS = rf"^(?!({'|'.join(sorted(HOLIDAYS | VACATIONS | {'férias'}))})$)[A-Za-zÀ-ÿ2-6][^:]+$"
OPENING_HOURS: Node = {
    "type": "object",
    "description": "When the tenant is open: days with hours, or a list of them; `holidays` and `vacations`.",
    "properties": dict.fromkeys(sorted(HOLIDAYS | VACATIONS | {"férias"}), SPECIAL_DAYS),
    "patternProperties": {OPENING_DAYS: SPANS},
    "additionalProperties": False,
}
WRITTEN: Mapping[str, Node] = {
    "_duration": DURATION,
    "_count": COUNT,
    "hours_of_a_day": HOURS,
    "weekdays": DAYS,
    "table_of_hours": OPENING_HOURS,
}
"""The written form of values that are stored in another form, by the name of the function that reads them."""

OR_ONE_TEXT = {"_named"}
"""The functions that accept a text for a section with one value."""

KINDS = {
    node["pattern"]: kind for node, kind in ((DURATION, "duration"), (COUNT, "count"), (HOURS, "hours"), (DAYS, "days"))
} | {OPENING_DAYS: "days"}
EXAMPLES = {"_timezone": ["America/Sao_Paulo", "Europe/Lisbon", "UTC"]}
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

TRUSTED_INTRODUCTION = """In the addresses, headers and bodies of tools, beside `{parameter}` and `${secret:NAME}`.
A model that is told who the contact is can be talked into naming somebody else; it cannot set these. Tools of Python
packages find them in `context.trusted`."""

ANSWERS_INTRODUCTION = f"""What a flow's `ask` understands, in Portuguese, English and Spanish, on
{TODAY:%A}, {TODAY.day} {TODAY:%B %Y}. An answer is taken out of a sentence, and kept in one form. What may mean two
things is asked again, with the step's `error`, or else an example of what is expected. Days are those of the tenant's
time zone. A date without a year is the next one. Elsewhere than in `en-US`, the day comes before the month."""

INTRODUCTION = """# assistant.yaml

<!-- Made by `recado tenants schema --markdown`: do not edit. -->

A tenant's assistant is a folder: `assistant.yaml`, and the files that it names. `recado tenants new SLUG` writes one,
`recado tenants check FOLDER` says what is wrong with it, `recado tenants publish FOLDER` makes it answer. Editors
complete and check the file when its first line is

```yaml
# yaml-language-server: $schema=assistant.schema.json
```

and `recado tenants schema > assistant.schema.json` has written that file. Unknown keys are errors.

| kind of value | is written |
|---|---|
| duration | a number and its unit, `ms`, `s`, `m`, `h` or `d`: `500ms`, `2s`, `30m`, `24h`, `7d` |
| count | a whole number, also in thousands or millions: `2000`, `500k`, `5M` |
| days | by name, in Portuguese, English or Spanish: `mon-fri`, `tue,thu,sat`, `seg a sex`, `sábado e domingo` |
| hours | from and to, in the tenant's time zone: `"08:00-18:00"`, `9h às 18h`, `9am-6pm`; or `24h`, `closed` |
"""

HOURS_EXAMPLE = """hours:
  seg a sex: 9h às 12h e 13h30 às 18h
  sexta: "18:00-02:00"            # until Saturday at 02:00
  sábado: 9h-13h
  domingo: fechado
  holidays:
    25/12: closed                 # each year
    2026-12-24: 9h-12h            # that day only
  vacations:
    - 20/12/2026 - 05/01/2027
"""
HOURS_INTRODUCTION = """The days that `hours` does not name are closed. Hours that end before they begin go on after
midnight; they belong to the day on which they begin, also where the next day is a holiday. `holidays` and `vacations`
take dates and spans of dates, as a list of closed days, or with hours of their own. The day comes before the month. A
date without a year comes each year. Where several include a day, a date with a year decides before one without, and a
shorter span before a longer one. The bookable times of a calendar end on the day on which they begin."""


@cache
def json_schema() -> Node:
    """Return the JSON Schema of assistant.yaml as it is written, for editors."""
    made = Manifest.model_json_schema(by_alias=True, schema_generator=_AsWritten)
    for section in (made, *made.get("$defs", {}).values()):
        _explain(section)
    tidy: Node = _tidy(made)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "assistant.yaml", **tidy}


class _AsWritten(GenerateJsonSchema):
    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Node:
        if _name(schema) in WRITTEN:
            return dict(WRITTEN[_name(schema)])
        made = super().function_before_schema(schema)
        return {"anyOf": [{"type": "string"}, made]} if _name(schema) in OR_ONE_TEXT else made

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> Node:
        made = super().function_after_schema(schema)
        return {**made, "examples": EXAMPLES[_name(schema)]} if _name(schema) in EXAMPLES else made

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Node:
        bounds = {"minimum": schema.get("ge"), "maximum": schema.get("le")}
        return {"type": "number", **{name: float(bound) for name, bound in bounds.items() if bound is not None}}


def _name(schema: Mapping[str, Any]) -> str:
    # Of a function that another one made, that one's.
    return str(getattr(schema["function"]["function"], "__qualname__", "")).partition(".")[0]


def _explain(section: Node) -> None:
    """Move what a section's description says about its properties, as "`key`: text", to the properties."""
    properties = section.get("properties", {})
    parts = re.split(r"\s*`(\w+)`: ", " ".join(section.get("description", "").split()))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    if not said or not set(said) <= set(properties):
        return
    section["description"] = parts[0]
    for key, text in said.items():
        properties[key].setdefault("description", text[:1].upper() + text[1:])


def _tidy(node: Any) -> Any:
    """Return the schema without titles, nulls, trivial defaults and seconds."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(key, value) for key, value in node.items() if key != "title"}
    choices = [choice for choice in tidy.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy = {**choices[0], **tidy}
    elif choices:
        tidy["anyOf"] = choices
    if tidy.get("default") in (None, [], {}) or isinstance(tidy.get("default"), dict):
        tidy.pop("default", None)
    return _duration(tidy) if tidy.get("pattern") == DURATION["pattern"] else tidy


def _tidied(key: str, value: Any) -> Any:
    # In these the keys are the tenant's words, of which `title` may be one.
    if key in ("properties", "patternProperties", "$defs"):
        return {name: _tidy(node) for name, node in value.items()}
    return value if key in ("default", "examples", "enum", "const", "required") else _tidy(value)


def _duration(node: Node) -> Node:
    """Add bounds and default of a duration to its description: JSON Schema cannot compare durations."""
    low, high = (node.pop(bound, None) for bound in ("ge", "le"))
    if low is not None or high is not None:
        node["x-bounds"] = _range(*(None if bound is None else _written(bound) for bound in (low, high)))
        node["description"] = " ".join(part for part in (node.get("description"), f"({node['x-bounds']})") if part)
    if "default" in node:
        node["default"] = _written(node["default"])
    return node


def _written(seconds: float) -> str:
    if seconds and seconds != int(seconds):
        return f"{seconds * 1000:g}ms"
    unit = next((unit for unit, size in UNITS.items() if seconds and seconds % size == 0), "s")
    return f"{seconds / UNITS[unit]:g}{unit}"


def _range(low: Any, high: Any) -> str:
    low, high = (f"{bound:g}" if isinstance(bound, float) else bound for bound in (low, high))
    if low is None or high is None:
        return f"at least {low}" if high is None else f"at most {high}"
    return f"exactly {low}" if low == high else f"{low} to {high}"


# The page.


def markdown() -> str:
    """Return the reference page."""
    return _Page(json_schema()).text()


def _built_in() -> Iterator[str]:
    """Return the table of built-in tools."""
    yield from ("## Built-in tools", "", "Under an agent's `tools`, or called by a flow.", "")
    yield from ("| name | arguments | what it does |", "|---|---|---|")
    for tool in BUILTIN.values():
        arguments = ", ".join(f"`{name}`" for name in tool.parameters.get("properties", {}))
        yield f"| `{tool.name}` | {arguments} | {tool.description} |"
    yield ""


def _trusted() -> Iterator[str]:
    yield from ("## Trusted values", "", TRUSTED_INTRODUCTION, "")
    yield from ("| written as | what it is |", "|---|---|")
    for name, meaning in TRUSTED.items():
        yield f"| `${{{name}}}` | {meaning} |"
    yield "| `${verified.NAME}` | What a flow's step `verify` has kept in this conversation. Calls fail without it. |"
    yield ""


def _hours() -> Iterator[str]:
    """Return an example of opening hours, and what it means."""
    yield from ("## Opening hours", "", HOURS_INTRODUCTION, "", "```yaml", HOURS_EXAMPLE.rstrip(), "```", "")


def _answers() -> Iterator[str]:
    """Return the table of answers to the questions of flows."""
    yield from ("## Answers", "", ANSWERS_INTRODUCTION, "")
    yield from ("| `expect` | language | said | kept |", "|---|---|---|---|")
    for row in ANSWERS:
        said = ", ".join(f"`{text}`" for text in row.said)
        among = f" of {', '.join(f'`{choice}`' for choice in row.choices)}" if row.choices else ""
        kept = "*asked again*" if row.kept is None else f"`{row.kept}`"
        yield f"| `{row.expect}`{among} | {row.language} | {said} | {kept} |"
    yield ""


class _Page:
    """The page. Each section appears once, where it is first used; later uses link to it."""

    def __init__(self, schema: Node) -> None:
        self._definitions: Mapping[str, Node] = schema.get("$defs", {})
        self._places: dict[str, str] = {}
        self._sections: list[tuple[str, Node]] = [("", schema)]
        self._visit("", schema)

    def text(self) -> str:
        """Return the whole page."""
        sections = (line for path, node in self._sections for line in self._section(path, node))
        tables = [*_built_in(), *_trusted(), *_hours(), *_answers(), *keyword_table()]
        return "\n".join([INTRODUCTION, *tables, *sections])

    def _visit(self, path: str, section: Node) -> None:
        for key, node in section.get("properties", {}).items():
            for place, name in self._references(f"{path}.{key}".lstrip("."), node):
                if name not in self._places:
                    self._places[name] = place
                    self._sections.append((place, self._definitions[name]))
                    self._visit(place, self._definitions[name])

    def _references(self, path: str, node: Node) -> Iterator[tuple[str, str]]:
        """Return the sections that a value may be, with their place."""
        if "$ref" in node:
            yield path, _referred(node)
        for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from self._references(path, choice)
        if isinstance(node.get("items"), dict):
            yield from self._references(f"{path}[]", node["items"])
        for value in _values(node):
            yield from self._references(f"{path}.<name>", value)

    def _section(self, path: str, section: Node) -> Iterator[str]:
        yield from ("## The file" if not path else f"## `{path}`", "")
        if section.get("description"):
            yield from (section["description"], "")
        if not section.get("properties"):
            return
        yield from ("| key | type | default | bounds | meaning |", "|---|---|---|---|---|")
        for key, node in section["properties"].items():
            default = "required" if key in section.get("required", ()) else _code(node.get("default"))
            meaning = self._meaning(node)
            cells = (f"`{key}`", self._type(node), default, _bounds(node), meaning)
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        yield ""

    def _meaning(self, node: Node) -> str:
        said = str(node.get("description", "")).removesuffix(f"({node.get('x-bounds')})").strip()
        return said or (self._definitions[_referred(node)].get("description", "") if "$ref" in node else "")

    def _type(self, node: Node) -> str:
        if "$ref" in node:
            place = self._places[_referred(node)]
            return f"[`{place}`](#{_anchor(place)})"
        if choices := [*node.get("anyOf", ()), *node.get("oneOf", ())]:
            return " or ".join(dict.fromkeys(self._type(choice) for choice in choices))
        if "enum" in node or "const" in node:
            return " or ".join(_code(value) for value in node.get("enum", [node.get("const")]))
        if node.get("type") == "array":
            return f"list of {self._type(node.get('items', {}))}"
        if values := list(_values(node)):
            return f"mapping of {_names(node)} to {self._type(values[0])}"
        kind = KINDS.get(node.get("pattern", ""), str(node.get("type", "anything")))
        return {"string": "text", "object": "mapping", "boolean": "true or false"}.get(kind, kind)


def _values(node: Node) -> Iterator[Node]:
    if isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    yield from node.get("patternProperties", {}).values()


def _names(node: Node) -> str:
    return next((KINDS[pattern] for pattern in node.get("patternProperties", ()) if pattern in KINDS), "name")


def _referred(node: Node) -> str:
    return str(node["$ref"]).rpartition("/")[2]


def _anchor(place: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w-]", "", place).lower()


def _code(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _bounds(node: Node) -> str:
    """Return the bounds of a value, or of the length of a list."""
    if "x-bounds" in node:
        return str(node["x-bounds"])
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", "characters: "),
        ("minItems", "maxItems", "items: "),
        ("minProperties", "maxProperties", "entries: "),
    ):
        if low in node or high in node:
            return unit + _range(node.get(low), node.get(high))
    return f"matches `{node['pattern']}`" if "pattern" in node and node["pattern"] not in KINDS else ""
