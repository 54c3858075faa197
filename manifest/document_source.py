"""Read OpenAPI documents of several MiB, in JSON or YAML, and find the lines of their values."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from manifest.yaml_source import LARGEST_FILE, UNSTORABLE
from tools.kinds.openapi_document import Documents, OpenApiNode, OpenApiProblem, Path

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""The size limit of one document in bytes."""
LARGEST_WHOLE = LARGEST_FILE
"""Characters of documents that are published as they are. Of larger ones, a version holds what its tools use."""
MOST_VALUES = 2_000_000
"""The maximum number of values in one document. Each use of an alias counts."""
DEEPEST = 200
"""The maximum depth of nested values."""

# libyaml is fifty times faster than a parser in Python, and gives lines and columns.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BASE_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

ESCAPED_UNSTORABLE = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)
NULL = re.compile(r"|~|null|Null|NULL")
BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]{1,400}|0x[0-9A-Fa-f]{1,400}|0o[0-7]{1,400}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
MERGE = "<<"
TAG = "tag:yaml.org,2002:"


def read_documents(files: Mapping[str, str]) -> Documents:
    """Return the documents of a tenant's folder."""
    return Documents(files, _read)


def place_of(documents: Documents, node: OpenApiNode) -> str:
    """Return file, line and column of a value, or of the innermost value around it that can be found."""
    try:
        root = yaml.compose(documents.text(node.file), Loader=BASE_LOADER)
    except yaml.YAMLError:
        return f"{node.file}#{_pointer(node.path)}"
    mark = _mark(root, node.path)
    return f"{node.file}:{mark.line + 1}:{mark.column + 1}"


def published_texts(documents: Documents) -> dict[str, str]:
    """Return the texts of the files that tools use, by name, as a version holds them.

    Large documents are reduced to the operations in use. These texts are JSON, which is YAML, too.
    """
    found = documents.extracts()
    texts = {file: documents.text(file) for file in found}
    if sum(map(len, texts.values())) <= LARGEST_WHOLE:
        return texts
    return {file: json.dumps(value, ensure_ascii=False, indent=1) + "\n" for file, value in found.items()}


def _read(file: str, text: str) -> Any:
    if len(text) > LARGEST_DOCUMENT:
        raise OpenApiProblem(f"{file} is larger than {LARGEST_DOCUMENT // 1024 // 1024} MiB")
    text = text.removeprefix("\ufeff")
    try:
        if file.endswith(".json") or text.lstrip()[:1] == "{":
            return _storable(json.loads(text)) if ESCAPED_UNSTORABLE.search(text) else json.loads(text)
    except json.JSONDecodeError as problem:
        if file.endswith(".json"):
            raise OpenApiProblem(f"{file}:{problem.lineno}:{problem.colno}: {problem.msg}") from None
    except (RecursionError, ValueError):
        raise OpenApiProblem(f"{file}: nested too deeply, or with a number of too many digits") from None
    try:
        return _YamlReader(file).read(text)
    except yaml.MarkedYAMLError as problem:
        raise OpenApiProblem(f"{_place(file, problem.problem_mark)}: {problem.problem}") from None
    except yaml.YAMLError as problem:
        reason = str(problem).splitlines()[0]
        raise OpenApiProblem(f"{file}: neither YAML nor JSON: {reason}") from None


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _place(file: str, mark: Any) -> str:
    return f"{file}:{mark.line + 1}:{mark.column + 1}" if mark is not None else file


def _pointer(path: Path) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _mark(root: Any, path: Path) -> Any:
    """Return the position of a scalar, or of the key of a mapping or list."""
    mark = root.start_mark
    for part in path:
        if isinstance(root, yaml.MappingNode):
            pair = next((pair for pair in root.value if pair[0].value == part), None)
            if pair is None:
                break
            root = pair[1]
            mark = root.start_mark if isinstance(root, yaml.ScalarNode) else pair[0].start_mark
        elif isinstance(root, yaml.SequenceNode) and isinstance(part, int) and part < len(root.value):
            root = root.value[part]
            mark = root.start_mark
        else:
            break
    return mark


@dataclass
class _Collection:
    """A mapping or list that is being read. `count` is the number of values inside it."""

    value: Any
    anchor: str | None
    start: Any
    count: int = 0
    key: str | None = None


class _YamlReader:
    """Reads one YAML document by the rules of YAML 1.2. Keys are always texts, so that `200:` and `on:` are names."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Collection] = [_Collection([], None, None)]
        self._anchors: dict[str, tuple[Any, int]] = {}

    def read(self, text: str) -> Any:
        """Return the value. Raises OpenApiProblem, yaml.YAMLError."""
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                self._open.append(_Collection(value, event.anchor, event.start_mark))
                if len(self._open) > DEEPEST:
                    raise self._problem("nested too deeply", event.start_mark)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                done = self._open.pop()
                self._add(done.value, done.count + 1, done.anchor, done.start)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self._anchors:
                    message = f"`*{event.anchor}` names no value that ends before it"
                    raise self._problem(message, event.start_mark)
                value, count = self._anchors[event.anchor]
                self._add(value, count, None, event.start_mark)
        values = self._open[0].value
        if len(values) != 1:
            raise OpenApiProblem(f"{self._file}: expected one document, but there are {len(values)}")
        return values[0]

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        holder = self._open[-1]
        if isinstance(holder.value, dict) and holder.key is None:
            holder.key = UNSTORABLE.sub("", event.value)
        else:
            self._add(_scalar_value(event), 1, event.anchor, event.start_mark)

    def _add(self, value: Any, count: int, anchor: str | None, mark: Any) -> None:
        holder = self._open[-1]
        holder.count += count
        if holder.count > MOST_VALUES:
            raise self._problem(f"more than {MOST_VALUES} values", mark)
        if anchor is not None:
            self._anchors[anchor] = (value, count)
        if isinstance(holder.value, list):
            holder.value.append(value)
        elif holder.key is None:
            raise self._problem("a key is not a text", mark)
        elif holder.key == MERGE:
            holder.key = None
            for part in self._merged(value, mark):
                # Keys that the mapping has itself win over those that are merged into it.
                holder.value = {**part, **holder.value}
        else:
            holder.value[holder.key] = value
            holder.key = None

    def _merged(self, value: Any, mark: Any) -> Iterator[dict[str, Any]]:
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                raise self._problem("`<<` merges a mapping", mark)
            yield part

    def _problem(self, message: str, mark: Any) -> OpenApiProblem:
        return OpenApiProblem(f"{_place(self._file, mark)}: {message}")


def _scalar_value(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    kind = (event.tag or "").removeprefix(TAG)
    if kind not in ("int", "float", "bool", "null") if event.tag else event.style in ("'", '"', "|", ">"):
        return UNSTORABLE.sub("", text)
    if NULL.fullmatch(text):
        return None
    if BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    return float(text) if FLOAT.fullmatch(text) else text
