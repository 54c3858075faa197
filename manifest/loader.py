"""Load an assistant's files, or report every problem with its place and remedy."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from graphs.config import Assistant
from manifest.compile import compile_assistant, tools_of
from manifest.schema import Manifest
from manifest.validate import problems_between_sections
from manifest.yaml_source import LARGEST_FILE, InvalidFiles, Location, Problem, YamlDocument
from tools.registry import BUILTIN

__all__ = ["LARGEST_FILE", "MAIN", "Files", "InvalidFiles", "LoadedAssistant", "Problem", "load"]

MAIN = "assistant.yaml"
"""The file that names all others."""

FOLLOWS_FROM: Mapping[int | str, set[int | str]] = {"lifecycle": {"lifecycle"}, "knowledge": {"agents"}}
"""Errors of a section that may be consequences of errors in these sections."""

Files = Mapping[str, str]
"""An assistant's files: text by path in the tenant's folder."""


@dataclass(frozen=True)
class LoadedAssistant:
    """A valid assistant and its files. `content_hash` identifies the files."""

    assistant: Assistant
    files: Files

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of the files' names and texts, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def load(files: Files) -> LoadedAssistant:
    """Return the assistant of these files. Raises InvalidFiles."""
    source = YamlDocument.parse(files.get(MAIN, ""), MAIN)
    values = source.values()
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        further = _further_problems(values, error.errors(include_url=False), files)
        found = source.problems_of(error, Manifest)
        raise InvalidFiles([*found, *(source.problem(where, message) for where, message in further)]) from None
    tools, problems = tools_of(manifest, files)
    problems += problems_between_sections(manifest, files, tools)
    if problems:
        raise InvalidFiles(source.problem(where, message) for where, message in problems)
    openapi = (tool.openapi.operation.partition("#")[0] for tool in manifest.tools.values() if tool.openapi is not None)
    assistant = compile_assistant(manifest, files, tools)
    used = {MAIN, *openapi, *(agent.prompt for agent in manifest.agents.values()), *assistant.knowledge}
    return LoadedAssistant(assistant, {name: files[name] for name in sorted(used)})


def _further_problems(values: Any, details: Sequence[Any], files: Files) -> list[tuple[Location, str]]:
    """Return the further problems, if the manifest is valid without the values that do not fit."""
    for detail in details:
        names = [number for number, part in enumerate(detail["loc"]) if isinstance(part, str)]
        where: Location = tuple(detail["loc"][: names[-1] + 1]) if names else ()
        holder: Any = values
        for part in where[:-1]:
            holder = holder[int(part)] if isinstance(holder, list) else holder.get(part, {})
        # A whole section of the file is not left out: what names it would seem to lead nowhere.
        if len(where) > 1 and isinstance(holder, dict):
            holder.pop(where[-1], None)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError:
        return []
    mistaken = {detail["loc"][0] for detail in details if detail["loc"]}
    return [
        (where, message)
        for where, message in problems_between_sections(manifest, files, BUILTIN)
        if "no route leads" not in message and not mistaken & FOLLOWS_FROM.get(where[0], set())
    ]
