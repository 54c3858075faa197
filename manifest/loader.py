"""Load an assistant's files, or report every problem with its place and remedy."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from graphs.config import Assistant
from manifest.compile import assemble, tools_of
from manifest.schema import Manifest
from manifest.validate import dangling
from manifest.yaml_source import MAIN, InvalidAssistant, Location, Plain, Problem, parse, position, problem_of
from tools.registry import BUILTIN

__all__ = ["MAIN", "Files", "InvalidAssistant", "Loaded", "Problem", "load"]

LARGEST_FILE = 256 * 1024
"""The size limit of one file in bytes."""

FOLLOWS_FROM: Mapping[int | str, set[int | str]] = {"lifecycle": {"lifecycle"}, "knowledge": {"agents"}}
"""Errors of a section that may be consequences of errors in these sections."""

Files = Mapping[str, str]
"""An assistant's files: text by path in the tenant's folder."""


@dataclass(frozen=True)
class Loaded:
    """A valid assistant and its files. `content_hash` identifies the files."""

    assistant: Assistant
    files: Files

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of the files' names and texts, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def load(files: Files) -> Loaded:
    """Return the assistant of these files. Raises InvalidAssistant."""
    text = files.get(MAIN, "")
    if len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        raise InvalidAssistant([Problem(MAIN, 1, 1, f"{MAIN} is larger than {LARGEST_FILE // 1024} KiB")])
    tree = parse(text)
    plain = Plain().convert(tree)
    try:
        document = Manifest.model_validate(plain)
    except ValidationError as error:
        details = error.errors(include_url=False)
        found = [problem_of(tree, detail) for detail in details]
        found += [Problem(MAIN, *position(tree, where), said) for where, said in _besides(plain, details, files)]
        raise InvalidAssistant(found) from None
    tools, problems = tools_of(document, files)
    problems += dangling(document, files, tools)
    if problems:
        raise InvalidAssistant(Problem(MAIN, *position(tree, where), message) for where, message in problems)
    openapi = (tool.openapi.operation.partition("#")[0] for tool in document.tools.values() if tool.openapi is not None)
    assistant = assemble(document, files, tools)
    used = {MAIN, *openapi, *(agent.prompt for agent in document.agents.values()), *assistant.knowledge}
    return Loaded(assistant, {name: files[name] for name in sorted(used)})


def _besides(plain: Any, details: Sequence[Any], files: Files) -> list[tuple[Location, str]]:
    """Return the further problems, if the manifest is valid without the values that do not fit."""
    for detail in details:
        names = [number for number, part in enumerate(detail["loc"]) if isinstance(part, str)]
        where: Location = tuple(detail["loc"][: names[-1] + 1]) if names else ()
        holder: Any = plain
        for part in where[:-1]:
            holder = holder[int(part)] if isinstance(holder, list) else holder.get(part, {})
        # A whole section of the file is not left out: what names it would seem to lead nowhere.
        if len(where) > 1 and isinstance(holder, dict):
            holder.pop(where[-1], None)
    try:
        document = Manifest.model_validate(plain)
    except ValidationError:
        return []
    mistaken = {detail["loc"][0] for detail in details if detail["loc"]}
    return [
        (where, said)
        for where, said in dangling(document, files, BUILTIN)
        if "no route leads" not in said and not mistaken & FOLLOWS_FROM.get(where[0], set())
    ]
