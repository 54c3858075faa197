"""Reads an assistant's files into what graphs are built from, or says what is wrong, where, and how to mend it."""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from graphs.config import (
    CLASSIFY,
    CLOSE,
    HANDOFF,
    Agent,
    Assistant,
    Calendar,
    Handoff,
    Lifecycle,
    ModelSpec,
    Rule,
)
from tenants.schema import Document
from tools.registry import BUILTIN

MAIN = "assistant.yaml"
LARGEST_FILE = 256 * 1024
"""Bytes of one file."""

MOST_VALUES = 20_000
"""Values in one file, aliases counted wherever they are used."""

FORBIDDEN = {"\t": "a tab: indent with spaces", "\x00": "a NUL character"}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Files = Mapping[str, str]
"""An assistant's files: path within the tenant's folder to text."""

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class InvalidAssistant(Exception):
    """The files do not make an assistant. `problems` names everything that is wrong with them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line, p.column))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Loaded:
    """A valid assistant and the files it is made of. `content_hash` names exactly these files."""

    assistant: Assistant
    files: Files

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the files' names and texts, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def load_folder(folder: Path) -> Loaded:
    """The assistant of a tenant's folder. Raises InvalidAssistant."""
    main = folder / MAIN
    try:
        files = {MAIN: _read(main, folder)}
        files |= {path.relative_to(folder).as_posix(): _read(path, folder) for path in sorted(folder.rglob("*.md"))}
    except OSError as error:
        name = os.path.relpath(error.filename, folder)
        raise InvalidAssistant([Problem(name, 1, 1, f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise InvalidAssistant([Problem(MAIN, 1, 1, str(error))]) from None
    return load(files)


def load(files: Files) -> Loaded:
    """The assistant that these files make. Raises InvalidAssistant."""
    tree = _parse(files.get(MAIN, ""))
    try:
        document = Document.model_validate(_Plain().convert(tree))
    except ValidationError as error:
        raise InvalidAssistant(_problem(tree, detail) for detail in error.errors(include_url=False)) from None
    problems = [Problem(MAIN, *_position(tree, where), message) for where, message in _dangling(document, files)]
    if problems:
        raise InvalidAssistant(problems)
    used = {MAIN, *(agent.prompt for agent in document.agents.values())}
    return Loaded(_assistant(document, files), {name: files[name] for name in sorted(used)})


def _read(path: Path, folder: Path) -> str:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name} is a link that leads out of the folder")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path.name} is larger than {LARGEST_FILE // 1024} KiB")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8 text") from None


def _parse(text: str) -> CommentedMap:
    for character, message in FORBIDDEN.items():
        if character in text:
            before = text[: text.index(character)].split("\n")
            raise InvalidAssistant([Problem(MAIN, len(before), len(before[-1]) + 1, message)])
    try:
        tree = YAML(typ="rt", pure=True, plug_ins=[]).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidAssistant([Problem(MAIN, line, column, str(error.problem or "not YAML"))]) from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidAssistant([Problem(MAIN, 1, 1, f"not YAML: {reason}")]) from None
    if not isinstance(tree, CommentedMap):
        raise InvalidAssistant([Problem(MAIN, 1, 1, "expected a mapping that begins with `name:`")])
    return tree


class _Plain:
    """Turns the tree into plain values. Aliases count each time they are used, so they cannot multiply."""

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
    """Stands for a text with characters that no message can hold: of no type that the schema allows."""


def _problem(tree: CommentedMap, detail: Any) -> Problem:
    where: Location = tuple(detail["loc"])
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        line, column = _position(tree, where, of_key=True)
        return Problem(MAIN, line, column, f"unknown key `{where[-1]}`{_nearest(str(where[-1]), _keys(where[:-1]))}")
    if kind == "missing":
        line, column = _position(tree, where[:-1])
        return Problem(MAIN, line, column, f"`{where[-1]}` is missing{_inside(where[:-1])}")
    is_key = where[-1:] == ("[key]",)
    where = where[:-1] if is_key else where
    line, column = _position(tree, where, of_key=is_key)
    if isinstance(detail["input"], _Unstorable):
        message = "a NUL or half a character, which no message can hold"
    return Problem(MAIN, line, column, f"{_path(where)}: {message}")


def _dangling(document: Document, files: Files) -> Iterable[tuple[Location, str]]:
    targets = [*document.agents, HANDOFF, CLOSE]
    for name in (HANDOFF, CLOSE, CLASSIFY):
        if name in document.agents:
            yield ("agents", name), f"`{name}` means something else in routing: give the agent another name"
    for number, rule in enumerate(document.routing.rules):
        if rule.to not in targets:
            where = ("routing", "rules", number, "to")
            yield where, f"there is no agent `{rule.to}`{_nearest(rule.to, targets)}"
    if document.routing.otherwise not in [*targets, CLASSIFY]:
        name = document.routing.otherwise
        yield ("routing", "otherwise"), f"there is no agent `{name}`{_nearest(name, [*targets, CLASSIFY])}"
    for name, agent in document.agents.items():
        path = PurePosixPath(agent.prompt)
        if path.is_absolute() or ".." in path.parts or agent.prompt not in files:
            prompts = [file for file in files if file != MAIN]
            yield ("agents", name, "prompt"), f"there is no file `{agent.prompt}`{_nearest(agent.prompt, prompts)}"
        elif UNSTORABLE.search(files[agent.prompt]):
            yield ("agents", name, "prompt"), f"`{agent.prompt}` holds a NUL or half a character"
        for number, tool in enumerate(agent.tools):
            if tool not in BUILTIN:
                yield ("agents", name, "tools", number), f"there is no tool `{tool}`{_nearest(tool, BUILTIN)}"
            elif tool in ("find_slots", "book_slot") and not document.calendars:
                yield ("agents", name, "tools", number), f"`{tool}` needs at least one calendar under `calendars:`"


def _assistant(document: Document, files: Files) -> Assistant:
    lifecycle, handoff = document.lifecycle, document.handoff
    cap = lifecycle.debounce * 5 if lifecycle.debounce_cap is None else lifecycle.debounce_cap
    return Assistant(
        name=document.name,
        language=document.language,
        timezone=ZoneInfo(document.timezone),
        model=ModelSpec(**document.models.default.model_dump()),
        agents={
            name: Agent(name, agent.description, files[agent.prompt], agent.tools)
            for name, agent in document.agents.items()
        },
        apology=document.apology,
        rules=tuple(Rule(rule.to, rule.match, rule.button) for rule in document.routing.rules),
        otherwise=document.routing.otherwise,
        handoff=Handoff(
            handoff.queue, handoff.message, handoff.triggers.tool_failures, handoff.timeout, handoff.on_timeout
        ),
        lifecycle=Lifecycle(lifecycle.debounce, max(cap, lifecycle.debounce), lifecycle.idle, lifecycle.goodbye),
        window=document.memory.window,
        calendars=tuple(
            Calendar(name, calendar.days, *calendar.hours, calendar.slot)
            for name, calendar in document.calendars.items()
        ),
    )


def _position(tree: Any, where: Location, *, of_key: bool = False) -> tuple[int, int]:
    """Line and column of a value, or of its key, or of the innermost thing on the way there that exists."""
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


def _keys(where: Location) -> list[str]:
    """The keys that the schema allows at a place of the file."""
    model: Any = Document
    for part in where:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        else:
            model = _item_type(model)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _item_type(annotation: Any) -> Any:
    return next((a for a in reversed(getattr(annotation, "__args__", ())) if a is not Ellipsis), None)


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f": did you mean `{close[0]}`?" if close else ""


def _path(where: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _inside(where: Location) -> str:
    return f" in `{_path(where)}`" if where else ""
