"""Checks that a manifest has the sections that its tools need."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from manifest.schema import Manifest
from tools.base import Tool
from tools.ports import Need


@dataclass(frozen=True)
class Requirement:
    """When a manifest meets a need, and what an error says is missing otherwise."""

    is_met: Callable[[Manifest], bool]
    missing: str


REQUIREMENTS: Mapping[Need, Requirement] = {
    Need.CALENDARS: Requirement(lambda document: bool(document.calendars), "at least one calendar under `calendars:`"),
    Need.FACTS: Requirement(lambda document: document.memory.facts, "`memory: {facts: true}`"),
    Need.KNOWLEDGE: Requirement(lambda document: bool(document.knowledge), "files under `knowledge:`"),
}


def missing_sections(document: Manifest, tool: Tool) -> list[str]:
    """Return one error text for each need of the tool that the manifest does not meet."""
    requirements = (REQUIREMENTS[need] for need in sorted(tool.needs))
    return [f"`{tool.name}` needs {each.missing}" for each in requirements if not each.is_met(document)]


def names_with_need(need: Need, tools: Iterable[Tool]) -> list[str]:
    """Return the names of the tools that have the need."""
    return [tool.name for tool in tools if need in tool.needs]
