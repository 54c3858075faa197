"""A manifest that lacks a section that one of its tools needs is refused, for any tool that declares the need."""

import sys
from pathlib import Path

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from manifest.schema import Manifest
from manifest.tool_needs import REQUIREMENTS
from manifest.validate import problems_between_sections
from tests.manifest.files import PROMPTS, TEXT, changed, problems
from tools.base import Tool, builtin_tool
from tools.ports import JSON, Need, ToolContext
from tools.registry import BUILTIN

CALENDARS = 'calendars:\n  sala: {days: mon-sun, hours: "08:00-20:00", slot: 1h}\n'
TOOLS = "tools: [find_slots, book_slot, request_human]"


class NoArguments(BaseModel):
    """No arguments."""


async def no_effect(_: ToolContext, __: NoArguments) -> JSON:
    """Return an empty result."""
    return {}


def newcomer(*needs: Need) -> Tool:
    """Return a tool that no module of the product names."""
    return builtin_tool("newcomer", "A new tool.", NoArguments, "read", no_effect, needs=frozenset(needs))


def refusals(text: str, tool: Tool) -> list[str]:
    """Return the problems of a document that may name the tool, next to the built-in ones."""
    document = Manifest.model_validate(YAML(typ="safe").load(text))
    return [message for _, message in problems_between_sections(document, PROMPTS, {**BUILTIN, tool.name: tool})]


def test_every_need_has_a_requirement() -> None:
    assert set(REQUIREMENTS) == set(Need)


@pytest.mark.parametrize(
    ("need", "missing"),
    [
        (Need.CALENDARS, "at least one calendar under `calendars:`"),
        (Need.FACTS, "`memory: {facts: true}`"),
        (Need.KNOWLEDGE, "files under `knowledge:`"),
    ],
)
def test_an_agents_new_tool_needs_its_section(need: Need, missing: str) -> None:
    text = changed(TOOLS, "tools: [newcomer]").replace(CALENDARS, "")
    assert refusals(text, newcomer(need)) == [f"`newcomer` needs {missing}"]
    assert refusals(text, newcomer()) == []


def test_a_flows_new_tool_needs_its_section() -> None:
    flow = "flows:\n  marca: {description: marca, steps: [{call: {tool: newcomer}}]}\n"
    text = changed(TOOLS, "tools: [request_human]").replace(CALENDARS, flow)
    assert refusals(text, newcomer(Need.CALENDARS)) == ["`newcomer` needs at least one calendar under `calendars:`"]
    assert refusals(text, newcomer()) == []


def test_a_new_tool_with_its_sections_is_accepted() -> None:
    text = changed("window: 12", "window: 12, facts: true").replace(TOOLS, "tools: [newcomer]")
    assert refusals(text, newcomer(Need.CALENDARS, Need.FACTS)) == []


def test_a_new_tool_that_needs_knowledge_uses_it() -> None:
    knowledge = "knowledge: [knowledge/a.md]\n"
    text = changed(TOOLS, "tools: [newcomer]") + knowledge
    document = Manifest.model_validate(YAML(typ="safe").load(text))
    files = {**PROMPTS, "knowledge/a.md": "Texto."}
    tool = newcomer(Need.KNOWLEDGE)
    assert problems_between_sections(document, files, {**BUILTIN, "newcomer": tool}) == []
    unused = [message for _, message in problems_between_sections(document, files, {**BUILTIN, "newcomer": newcomer()})]
    assert unused == ["no agent or flow looks it up: give an agent the tool `search_knowledge`"]


def test_a_packages_tool_needs_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clinic_tools.py").write_text("from tools.builtin.book_slot import TOOL\n")
    info = tmp_path / "clinic_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clinic-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[recado.tools]\nslots = clinic_tools:TOOL\n")
    monkeypatch.syspath_prepend(tmp_path)
    section = "tools: {minha_agenda: {python: slots}}\n"
    text = changed(TOOLS, "tools: [minha_agenda]").replace(CALENDARS, section)
    (problem,) = problems(text)
    assert problem.endswith("`minha_agenda` needs at least one calendar under `calendars:`")
    assert problems(TEXT.replace(TOOLS, "tools: [minha_agenda]") + section) == []
    sys.modules.pop("clinic_tools")
