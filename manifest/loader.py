"""Load an assistant's files, or report every problem with its place and remedy."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from graphs.config import Assistant
from manifest.compile import compile_assistant, resolve_tools, tools_of
from manifest.document_source import published_texts, read_documents
from manifest.flow_sections import keep_choices_as_written
from manifest.schema import Manifest
from manifest.stored_form import StoredForm, assistant_of
from manifest.validate import problems_between_sections
from manifest.warnings import warnings_of
from manifest.yaml_source import LARGEST_FILE, InvalidFiles, Location, Problem, YamlDocument
from tools.registry import BUILTIN

__all__ = [
    "LARGEST_FILE",
    "MAIN",
    "CompiledAssistant",
    "Files",
    "InvalidFiles",
    "LoadedAssistant",
    "Problem",
    "load",
    "load_form",
]

MAIN = "assistant.yaml"
"""The file that names all others."""

FOLLOWS_FROM: Mapping[int | str, set[int | str]] = {"lifecycle": {"lifecycle"}, "knowledge": {"agents"}}
"""Errors of a section that may be consequences of errors in these sections."""

Files = Mapping[str, str]
"""An assistant's files: text by path in the tenant's folder."""


VALUE_MEMORY = 12
"""Bytes of memory for each character of the texts of which an assistant is made, measured and rounded up."""
LEAST_MEMORY = 20_000


@dataclass(frozen=True)
class CompiledAssistant:
    """A valid assistant, as turns use it. `memory` is an estimate of what it takes, in bytes."""

    assistant: Assistant
    content_hash: str
    memory: int = field(compare=False)


@dataclass(frozen=True)
class LoadedAssistant:
    """A valid assistant and its files. `content_hash` identifies the files.

    `warnings` name what the manifest asks for and what will not happen.
    """

    assistant: Assistant
    files: Files
    warnings: tuple[Problem, ...] = field(default=(), compare=False, repr=False, kw_only=True)
    _form: StoredForm | None = field(default=None, compare=False, repr=False)

    @property
    def form_text(self) -> str | None:
        """The form to store, which `load_form` loads, or None if there is none."""
        return None if self._form is None else self._form.text()

    @property
    def compiled(self) -> CompiledAssistant:
        """The assistant without its files."""
        texts = sum(len(text) for name, text in self.files.items() if name not in self.assistant.knowledge)
        return CompiledAssistant(self.assistant, self.content_hash, memory_of(texts))

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of the files' names and texts, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def memory_of(length: int) -> int:
    """Return an estimate of the memory in bytes that an assistant takes, from the length of its texts."""
    return LEAST_MEMORY + VALUE_MEMORY * length


def load_form(text: str, content_hash: str) -> CompiledAssistant | None:
    """Return the assistant of a stored form, or None if the form cannot be used."""
    assistant = assistant_of(text)
    return None if assistant is None else CompiledAssistant(assistant, content_hash, memory_of(len(text)))


def load(files: Files) -> LoadedAssistant:
    """Return the assistant of these files. Raises InvalidFiles."""
    source = YamlDocument.parse(files.get(MAIN, ""), MAIN)
    values = source.values()
    keep_choices_as_written(source, values)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        further = _further_problems(values, error.errors(include_url=False), files)
        found = source.problems_of(error, Manifest)
        raise InvalidFiles([*found, *(source.problem(where, message) for where, message in further)]) from None
    documents = read_documents(files)
    resolved, unresolved = resolve_tools(manifest, files, documents)
    tools, problems = tools_of(manifest, resolved)
    problems += unresolved
    problems += problems_between_sections(manifest, files, tools)
    if problems:
        raise InvalidFiles(source.problem(where, message) for where, message in problems)
    assistant = compile_assistant(manifest, files, tools)
    used = {MAIN, *(agent.prompt for agent in manifest.agents.values()), *assistant.knowledge}
    form = StoredForm.of(values, manifest, files, resolved, assistant)
    texts = {**published_texts(documents), **{name: files[name] for name in used}}
    warnings = tuple(source.problem(where, f"warning: {message}") for where, message in warnings_of(manifest))
    return LoadedAssistant(assistant, dict(sorted(texts.items())), form, warnings=warnings)


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
