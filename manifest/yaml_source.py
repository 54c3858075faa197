"""Parse YAML with lines and columns, and report problems with their place."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from graphs.fields import NAME
from tools.names import nearest

LARGEST_FILE = 256 * 1024
"""The size limit of one file in bytes."""
MOST_VALUES = 20_000
"""The maximum number of values in one file. Each use of an alias counts."""
DEEPEST = 20
"""The maximum depth of nested values."""

WITHIN = "within"
"""The type of an error about parts of a value. Its `problems` are (location in the value, message, of the key)."""

FORBIDDEN = {"\t": "a tab: indent with spaces", "\x00": "a NUL character"}
PLAIN = re.compile(r"[^\s\[\]{},#&*!|>'\"]+")
"""A number, a boolean or a date without quotes."""
ISO_DATE = re.compile(r"(?<![\w\"'/-])\d{4}-\d{2}-\d{2}(?![\w\"'/-])", re.ASCII)
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


class InvalidFiles(Exception):
    """The files do not hold what they should. `problems` lists every problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        # A value that several aliases name is wrong once.
        self.problems = sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class YamlDocument:
    """One YAML mapping of a file, with the places of its values."""

    file: str
    tree: CommentedMap
    text: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, file: str) -> Self:
        """Return the only document of a text. Raises InvalidFiles."""
        return cls._mapping(_load(text, file, lambda yaml: yaml.load(text)), file, text)

    @classmethod
    def parse_all(cls, text: str, file: str) -> list[Self]:
        """Return the documents of a text, which `---` separates. Raises InvalidFiles."""
        return [cls._mapping(tree, file, text) for tree in _load(text, file, lambda yaml: list(yaml.load_all(text)))]

    @classmethod
    def _mapping(cls, tree: Any, file: str, text: str) -> Self:
        if not isinstance(tree, CommentedMap):
            raise InvalidFiles([Problem(file, 1, 1, "expected a mapping that begins with `name:`")])
        return cls(file, tree, text)

    def values(self, *, storable: bool = True) -> Any:
        """Return plain values. `storable`: replace texts that Postgres cannot store, so that no schema accepts them.

        Raises InvalidFiles for more than MOST_VALUES values, or more than DEEPEST levels.
        """
        try:
            return _Converter(storable).convert(self.tree)
        except _TooMuchError:
            raise InvalidFiles([self.problem((), "too much, nested too deeply, or within itself")]) from None

    def validate[M: BaseModel](self, model: type[M], *, storable: bool = True) -> M:
        """Return the values as a model. Raises InvalidFiles."""
        try:
            return model.model_validate(self.values(storable=storable))
        except ValidationError as error:
            raise InvalidFiles(self.problems_of(error, model)) from None

    def problems_of(self, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
        """Return the problems that pydantic found, in our words and with their places."""
        details: list[Any] = error.errors(include_url=False)
        # pydantic counts a list of invalid items as too short besides.
        causes = [detail for detail in details if detail["type"] != "too_short"] or details
        return [problem for detail in causes for problem in self._problems_of(detail, model)]

    def value(self, where: Location) -> Any:
        """Return the value at a place as it was written, None where there is none."""
        node: Any = self.tree
        for part in where:
            node = node[_key_in(node, part)] if _has(node, part) else None
        return node

    def written(self, where: Location) -> str | None:
        """Return how a number, a boolean or a date of a list is written, or None where that cannot be told."""
        value = self.value(where)
        if not isinstance(value, bool | ScalarBoolean | int | float | date):
            return None
        line, column = self.position(where)
        found = PLAIN.match(self.text.split("\n")[line - 1], column - 1)
        # What stands here may also be an alias, an anchor or a tag.
        same = found is not None and _load(f"[{found[0]}]", self.file, lambda yaml: yaml.load(f"[{found[0]}]")) == [
            value
        ]
        return found[0] if found is not None and same else None

    def problem(self, where: Location, message: str, *, of_key: bool = False) -> Problem:
        """Return a problem at a value, or at its key."""
        return Problem(self.file, *self.position(where, of_key=of_key), message)

    def position(self, where: Location, *, of_key: bool = False) -> tuple[int, int]:
        """Return line and column of a value, of its key, or of the innermost parent that exists."""
        node: Any = self.tree
        position = (0, 0)
        for number, part in enumerate(where):
            last = number == len(where) - 1
            part = _key_in(node, part)
            if isinstance(node, CommentedMap) and part in (node.lc.data or {}):
                position = node.lc.key(part) if of_key and last else node.lc.value(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                position = node.lc.item(part)
            else:
                break
            node = node[part]
        return position[0] + 1, position[1] + 1

    def _problems_of(self, detail: Any, model: type[BaseModel]) -> Iterator[Problem]:
        if detail["type"] != WITHIN:
            yield self._problem_of(detail, model)
            return
        for part, message, of_key in detail["ctx"]["problems"]:
            where = (*detail["loc"], *part)
            yield self.problem(where, f"{path_of(where)}: {message}", of_key=of_key)

    def _problem_of(self, detail: Any, model: type[BaseModel]) -> Problem:
        where, kind = self._without_alternatives(tuple(detail["loc"])), detail["type"]
        message = detail["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            name = str(where[-1])
            return self.problem(where, f"unknown key `{name}`{nearest(name, keys_at(model, where[:-1]))}", of_key=True)
        if kind == "missing":
            return self.problem(where[:-1], f"`{where[-1]}` is missing{_inside(where[:-1])}")
        is_key = detail["loc"][-1:] == ("[key]",)
        if isinstance(detail["input"], _Unstorable):
            message = "a NUL or an incomplete character, which no message can contain"
        elif kind == "literal_error":
            message += nearest(str(detail["input"]), re.findall(r"'([^']+)'", message))
        else:
            message = EXPECTED.get(kind, PATTERNS.get(detail.get("ctx", {}).get("pattern", ""), message))
        return self.problem(where, f"{path_of(where)}: {message}" if where else message, of_key=is_key)

    def _without_alternatives(self, where: Location) -> Location:
        """Return the location without what pydantic adds: a union's alternatives, and `[key]`."""
        node: Any = self.tree
        path: list[int | str] = []
        for part in where:
            if _has(node, part):
                node = node[_key_in(node, part)]
                path.append(part)
            elif part == where[-1] != "[key]" and isinstance(node, CommentedMap):
                path.append(part)
        return tuple(path)


def _has(node: Any, part: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, Mapping) and _key_in(node, part) in node


def _key_in(node: Any, part: Any) -> Any:
    """Return the key of a mapping that is converted to `part`: 2026-12-25 is a date to YAML."""
    if not isinstance(node, Mapping) or part in node:
        return part
    return next((key for key in node if not isinstance(key, str) and _key(key) == part), part)


def read_text(path: Path) -> str:
    """Return the text of a file. Raises InvalidFiles."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFiles([Problem(str(path), 1, 1, f"cannot be read: {error}")]) from None


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
"""The error texts for texts that do not match a pattern."""


def _load[T](text: str, file: str, load: Callable[[YAML], T]) -> T:
    if len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        raise InvalidFiles([Problem(file, 1, 1, f"{file} is larger than {LARGEST_FILE // 1024} KiB")])
    for character, message in FORBIDDEN.items():
        if character in text:
            before = text[: text.index(character)].split("\n")
            raise InvalidFiles([Problem(file, len(before), len(before[-1]) + 1, message)])
    try:
        return load(YAML(typ="rt", pure=True, plug_ins=[]))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidFiles([Problem(file, line, column, _with_remedy(str(error.problem or "not YAML")))]) from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        if (found := _impossible_date(text)) is not None:
            before = text[: found.start()].split("\n")
            message = f"there is no date {found[0]}: correct it, or put it in quotes to make it a text"
            raise InvalidFiles([Problem(file, len(before), len(before[-1]) + 1, message)]) from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidFiles([Problem(file, 1, 1, f"not YAML: {reason}")]) from None


def _impossible_date(text: str) -> re.Match[str] | None:
    """Return the first date without quotes that the calendar does not have, such as 2026-02-30."""
    for found in ISO_DATE.finditer(text):
        try:
            date.fromisoformat(found[0])
        except ValueError:
            return found
    return None


def _with_remedy(problem: str) -> str:
    if "block end" in problem:
        return f"{problem}: what belongs together begins in the same column"
    if "mapping values" in problem or "but got ':'" in problem:
        return f"{problem}: put a text that holds `: ` in quotes, close those before it, and indent keys alike"
    return problem


class _TooMuchError(Exception):
    """The document has more values or levels than allowed."""


class _Converter:
    """Converts a tree to plain values. Each use of an alias counts, so that aliases cannot multiply without limit."""

    def __init__(self, storable: bool) -> None:
        self._storable = storable
        self._left = MOST_VALUES

    def convert(self, node: Any, depth: int = 0) -> Any:
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            raise _TooMuchError
        if isinstance(node, Mapping):
            return {_key(key): self.convert(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self.convert(item, depth + 1) for item in node]
        return self._scalar(node)

    def _scalar(self, node: Any) -> Any:
        if isinstance(node, str):
            return _Unstorable() if self._storable and UNSTORABLE.search(node) else str(node)
        # A boolean with an anchor is an integer to Python.
        if isinstance(node, bool | ScalarBoolean):
            return bool(node)
        return next((kind(node) for kind in (int, float) if isinstance(node, kind)), node)


class _Unstorable:
    """Replaces a text with characters that cannot be stored. No type of the schema accepts it."""


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key) if isinstance(key, date) else json.dumps(key, default=str)


def keys_at(model: type[BaseModel], where: Location) -> list[str]:
    """Return the keys that a model allows at a place."""
    annotation: Any = model
    for part in where:
        section = _section(annotation)
        annotation = _keys(section).get(str(part)) if section else _item_type(annotation)
    return list(_keys(_section(annotation)))


def _keys(section: type[BaseModel] | None) -> dict[str, Any]:
    """Return a section's keys as they are written, with their types."""
    return {field.alias or name: field.annotation for name, field in section.model_fields.items()} if section else {}


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the model among a type's alternatives."""
    alternatives = _alternatives(annotation)
    return next((a for a in alternatives if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _item_type(annotation: Any) -> Any:
    """Return the type of a container's values."""
    arguments = next((get_args(a) for a in _alternatives(annotation) if get_args(a)), ())
    return next((a for a in reversed(arguments) if a is not Ellipsis), None)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Iterate over the members of a union, without annotations."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for alternative in get_args(annotation):
            yield from _alternatives(alternative)
    else:
        yield annotation


def path_of(where: Location) -> str:
    """Return a place of the file in words."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _inside(where: Location) -> str:
    """Return the addition to an error about something within that place."""
    return f" in `{path_of(where)}`" if where else ""
