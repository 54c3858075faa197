"""Parse YAML with lines and columns, and report problems with their place."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from manifest.fields import NAME
from manifest.schema import Manifest
from tools.names import nearest

MAIN = "assistant.yaml"

MOST_VALUES = 20_000
"""The maximum number of values in one file. Each use of an alias counts."""

FORBIDDEN = {"\t": "a tab: indent with spaces", "\x00": "a NUL character"}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """A problem. Line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class InvalidAssistant(Exception):
    """The files are no valid assistant. `problems` lists every problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        super().__init__("\n".join(map(str, self.problems)))


def parse(text: str) -> CommentedMap:
    for character, message in FORBIDDEN.items():
        if character in text:
            before = text[: text.index(character)].split("\n")
            raise InvalidAssistant([Problem(MAIN, len(before), len(before[-1]) + 1, message)])
    try:
        tree = YAML(typ="rt", pure=True, plug_ins=[]).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidAssistant([Problem(MAIN, line, column, _of_yaml(str(error.problem or "not YAML")))]) from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidAssistant([Problem(MAIN, 1, 1, f"not YAML: {reason}")]) from None
    if not isinstance(tree, CommentedMap):
        raise InvalidAssistant([Problem(MAIN, 1, 1, "expected a mapping that begins with `name:`")])
    return tree


LIST, TEXT = "expected a list, such as [a, b]", "expected a text; quotes make one of anything"
KEYS = "expected keys with values, indented below it or in {}"
EXPECTED = {
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "date_from_datetime_parsing": "expected a date such as 2026-12-25",
    "date_parsing": "expected a date such as 2026-12-25",
    "date_type": "expected a date such as 2026-12-25",
    "dict_type": KEYS,
    "float_type": "expected a number",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "list_type": LIST,
    "mapping_type": KEYS,
    "model_attributes_type": KEYS,
    "model_type": KEYS,
    "string_type": TEXT,
    "tuple_type": LIST,
}
"""The error texts for values of the wrong type."""
PATTERNS = {NAME: "expected a name of small letters without accents, digits and _, such as agenda_2"}


def _of_yaml(problem: str) -> str:
    if "block end" in problem:
        return f"{problem}: what belongs together begins in the same column"
    if "mapping values" in problem or "but got ':'" in problem:
        return f"{problem}: put a text that holds `: ` in quotes, close those before it, and indent keys alike"
    return problem


class Plain:
    """Converts the tree to plain values. Each use of an alias counts, so that aliases cannot multiply without limit."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def convert(self, node: Any, depth: int = 0) -> Any:
        self._left -= 1
        if depth > 20 or self._left < 0:
            raise InvalidAssistant([Problem(MAIN, 1, 1, "too much, nested too deeply, or within itself")])
        if isinstance(node, Mapping):
            return {self._key(key): self.convert(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self.convert(item, depth + 1) for item in node]
        if isinstance(node, str) and UNSTORABLE.search(node):
            return _Unstorable()
        return str(node) if isinstance(node, str) else node

    @staticmethod
    def _key(key: Any) -> str:
        return key if isinstance(key, str) else json.dumps(key, default=str)


class _Unstorable:
    """Replaces a text with characters that cannot be stored. No type of the schema accepts it."""


def problem_of(tree: CommentedMap, detail: Any) -> Problem:
    where: Location = tuple(detail["loc"])
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        line, column = position(tree, where, of_key=True)
        return Problem(MAIN, line, column, f"unknown key `{where[-1]}`{nearest(str(where[-1]), keys_at(where[:-1]))}")
    if kind == "missing":
        line, column = position(tree, where[:-1])
        return Problem(MAIN, line, column, f"`{where[-1]}` is missing{inside(where[:-1])}")
    is_key = where[-1:] == ("[key]",)
    where = where[:-1] if is_key else where
    line, column = position(tree, where, of_key=is_key)
    if isinstance(detail["input"], _Unstorable):
        message = "a NUL or half a character, which no message can hold"
    elif kind == "literal_error":
        message += nearest(str(detail["input"]), re.findall(r"'([^']+)'", message))
    else:
        message = EXPECTED.get(kind, PATTERNS.get(detail.get("ctx", {}).get("pattern", ""), message))
    return Problem(MAIN, line, column, f"{path_of(where)}: {message}")


def position(tree: Any, where: Location, *, of_key: bool = False) -> tuple[int, int]:
    """Return line and column of a value, of its key, or of the innermost parent that exists."""
    node, position = tree, (0, 0)
    for number, part in enumerate(where):
        last = number == len(where) - 1
        if isinstance(node, CommentedMap) and part in (node.lc.data or {}):
            position = node.lc.key(part) if of_key and last else node.lc.value(part)
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            position = node.lc.item(part)
        else:
            break
        node = node[part]
    return position[0] + 1, position[1] + 1


def keys_at(where: Location) -> list[str]:
    """Return the keys that the schema allows at a place."""
    model: Any = Manifest
    for part in where:
        model = _keys(model).get(str(part)) if _section(model) else _item_type(_without_none(model))
    return list(_keys(_section(model)))


def _keys(annotation: Any) -> dict[str, Any]:
    """Return a section's keys as they are written, with their values."""
    model = _section(annotation)
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()} if model else {}


def _section(annotation: Any) -> type[BaseModel] | None:
    model = _without_none(annotation)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _without_none(annotation: Any) -> Any:
    others = [a for a in getattr(annotation, "__args__", ()) if a is not type(None)]
    return others[0] if isinstance(annotation, UnionType) and len(others) == 1 else annotation


def _item_type(annotation: Any) -> Any:
    return next((a for a in reversed(getattr(annotation, "__args__", ())) if a is not Ellipsis), None)


def path_of(where: Location) -> str:
    """Return a place of the file in words."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def inside(where: Location) -> str:
    """Return the addition to an error about something within that place."""
    return f" in `{path_of(where)}`" if where else ""
