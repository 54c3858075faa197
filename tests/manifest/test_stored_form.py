"""The stored form of an assistant loads to the same assistant as its files."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphs.config import Assistant
from manifest.compile_tools import ResolvedTool
from manifest.folder import load_folder
from manifest.loader import MAIN, CompiledAssistant, load, load_form
from tests.manifest.files import VALID, changed
from tests.platform import TENANT, TENANTS
from tools.base import Tool

ROOT = Path(__file__).parents[2]
FOLDERS = [TENANTS / TENANT, *sorted(path.parent for path in (ROOT / "tenants").glob(f"*/{MAIN}"))]


def values_of(assistant: Assistant) -> Assistant:
    """Return the assistant without the functions of its tools, which equal only themselves."""
    return replace(assistant, tools={name: without_functions(tool) for name, tool in assistant.tools.items()})


def without_functions(tool: Tool) -> Tool:
    nothing: Any = None
    return replace(tool, parse=nothing, run=nothing)


def form_of(files: Mapping[str, str]) -> dict[str, Any]:
    text = load(files).form_text
    assert text is not None
    form: dict[str, Any] = json.loads(text)
    return form


def test_there_are_tenants() -> None:
    assert len(FOLDERS) > 3


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_form_is_the_same_assistant(folder: Path) -> None:
    loaded = load_folder(folder)
    assert loaded.form_text is not None
    found = load_form(loaded.form_text, loaded.content_hash)
    assert found is not None
    assert found.content_hash == loaded.content_hash
    assert values_of(found.assistant) == values_of(loaded.assistant)
    for name in ("agents", "flows", "tools", "knowledge"):
        assert list(getattr(found.assistant, name)) == list(getattr(loaded.assistant, name)), "the order is the file's"


def test_a_form_has_no_text_that_turns_do_not_need() -> None:
    searches = changed("    tools: [request_human]", "    tools: [request_human, search_knowledge]")
    files = {**VALID, MAIN: f"{searches}knowledge: [a.md]\n", "a.md": "A limpeza custa R$ 220."}
    assert "R$ 220" not in json.dumps(form_of(files))
    assert form_of(files)["texts"]["a.md"] == ""


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"format": None},
        {"manifest": {}},
        {"manifest": {"name": "x"}},
        {"texts": None},
        {"tools": {"x": {"schema": 1}}},
    ],
)
def test_a_form_that_does_not_fit_is_not_used(change: Mapping[str, Any]) -> None:
    assert load_form(json.dumps({**form_of(VALID), **change}), "h") is None


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "1", '"form"', "{}"])
def test_what_is_no_form_is_not_used(text: str) -> None:
    assert load_form(text, "h") is None


def test_a_missing_prompt_is_not_used() -> None:
    form = form_of(VALID)
    form["texts"].pop("prompts/agenda.md")
    assert load_form(json.dumps(form), "h") is None


def test_memory_is_about_the_same_either_way() -> None:
    loaded = load(VALID)
    assert loaded.form_text is not None
    found = load_form(loaded.form_text, loaded.content_hash)
    assert isinstance(found, CompiledAssistant)
    assert found.memory == pytest.approx(loaded.compiled.memory, rel=0.3)


def test_a_form_of_an_earlier_release_makes_the_same_requests() -> None:
    """Its operations have no styles of parameters, and no fields of forms."""
    listed: dict[str, Any] = {"in": "query", "schema": {"type": "array"}}
    parameters = [{"name": "a", **listed}, {"name": "b", "explode": False, **listed}]
    body = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
    operation = {"operationId": "x", "parameters": parameters, "requestBody": body}
    document = {"openapi": "3.0.3", "servers": [{"url": "https://a.example"}], "paths": {"/o": {"post": operation}}}
    text = f"{VALID[MAIN]}tools: {{x: {{openapi: a.json#x}}}}\n"
    form = form_of({**VALID, MAIN: text, "a.json": json.dumps(document)})
    del form["tools"]["x"]["operation"]["fields"]
    for parameter in form["tools"]["x"]["operation"]["parameters"]:
        del parameter["style"], parameter["reserved"]
    earlier = TypeAdapter(ResolvedTool).validate_python(form["tools"]["x"]).operation
    assert load_form(json.dumps(form), "h") is not None
    assert earlier is not None
    request = earlier.request({"a": [1, 2], "b": [1, 2], "body": {"c": "d"}}, {})
    assert (request.url, request.body) == ("https://a.example/o?a=1&a=2&b=1%2C2", b"c=d")
