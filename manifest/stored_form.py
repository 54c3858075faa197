"""The stored form of a valid assistant, which loads a hundred times faster than its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from pydantic import TypeAdapter

from graphs.config import Assistant
from manifest.compile import compile_assistant, tools_of
from manifest.compile_tools import ResolvedTool
from manifest.schema import Manifest

FORMAT = 1
"""Increase it when forms that were written before would be compiled to something else. They are then not used."""


@dataclass(frozen=True)
class StoredForm:
    """What is left of an assistant's files when they were read and checked.

    `manifest` has the values of assistant.yaml as they were written. `texts` are the prompts by path, and the paths of
    knowledge without text.
    """

    manifest: dict[str, Any]
    texts: dict[str, str]
    tools: dict[str, ResolvedTool]
    format: int = FORMAT

    @classmethod
    def of(
        cls, values: Any, manifest: Manifest, files: Mapping[str, str], tools: dict[str, ResolvedTool], found: Assistant
    ) -> Self:
        """Return the form of an assistant that was compiled from these parts."""
        prompts = {agent.prompt: files[agent.prompt] for agent in manifest.agents.values()}
        return cls(values, {**dict.fromkeys(found.knowledge, ""), **prompts}, tools)

    def text(self) -> str | None:
        """Return the form as JSON, or None if JSON cannot hold it, as with a date where any value is allowed."""
        try:
            text = orjson.dumps(self).decode()
            same = Manifest.model_validate(orjson.loads(text)["manifest"]) == Manifest.model_validate(self.manifest)
        except (TypeError, ValueError):
            return None
        return text if same else None


_FORM = TypeAdapter(StoredForm)


def assistant_of(text: str) -> Assistant | None:
    """Return the assistant of a form, or None if it cannot be used: then its files say why.

    The form is of another format, or the assistant was valid for another Recado, or with other packages.
    """
    try:
        return _assistant_of(orjson.loads(text))
    # What another Recado has written may be anything.
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _assistant_of(values: Any) -> Assistant | None:
    if values["format"] != FORMAT:
        return None
    form = _FORM.validate_python(values)
    manifest = Manifest.model_validate(form.manifest)
    tools, problems = tools_of(manifest, form.tools)
    if problems or tools.keys() < manifest.tools.keys():
        return None
    return compile_assistant(manifest, form.texts, tools)
