"""What editors and people are told of assistant.yaml, and the folder that a new tenant begins with."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from graphs.answers import parse_answer
from graphs.sections import Ask
from manifest import reference, template
from manifest.answer_examples import ANSWERS, TODAY, Examples
from manifest.folder import load_folder
from manifest.loader import MAIN, load
from tests.manifest.files import PROMPTS, TEXT, changed
from tests.platform import TENANT, TENANTS

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("tenants/*/assistant.yaml"), TENANTS / TENANT / "assistant.yaml"])


def parsed(text: str) -> Any:
    """The YAML as an editor sees it: dates are texts."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.yaml_constructors = {
        **yaml.constructor.yaml_constructors,
        "tag:yaml.org,2002:timestamp": type(yaml.constructor).construct_yaml_str,
    }
    return yaml.load(text)


def complaints(text: str) -> list[str]:
    """What an editor would underline."""
    validator = jsonschema.Draft7Validator(reference.json_schema())
    return [error.message for error in validator.iter_errors(parsed(text))]


def test_the_checked_in_page_is_what_the_schema_says() -> None:
    """`recado tenants schema --markdown > docs/reference/assistant-yaml.md` writes it."""
    page = ROOT / "docs" / "reference" / "assistant-yaml.md"
    assert page.read_text("utf-8") == reference.markdown()


def test_the_checked_in_schema_is_what_editors_are_told() -> None:
    """`recado tenants schema > docs/reference/assistant.schema.json` writes it; the shipped tenants name it."""
    path = ROOT / "docs" / "reference" / "assistant.schema.json"
    assert json.loads(path.read_text("utf-8")) == reference.json_schema()
    for tenant in (ROOT / "tenants").glob("*-*/assistant.yaml"):
        first, _, _ = tenant.read_text("utf-8").partition("\n")
        named = first.removeprefix("# yaml-language-server: $schema=")
        assert (tenant.parent / named).resolve() == path, tenant


def test_page_links_and_table_rows_are_complete() -> None:
    page = reference.markdown()
    headings = [re.sub(r"[^\w-]", "", line[3:]).lower() for line in page.splitlines() if line.startswith("## `")]
    assert len(headings) == len(set(headings))
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) == set(headings)
    rows = [line for line in page.split("## The file")[1].splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_the_schema_is_valid_itself() -> None:
    jsonschema.Draft7Validator.check_schema(reference.json_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.parent.name))
def test_editors_are_content_with_what_is_valid(path: Path) -> None:
    assert complaints(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("idle: 23h", "idel: 24h"),
        ("idle: 23h", "idle: 24"),
        ("idle: 23h", "idle: 24 hours"),
        ("days: mon-sun", "days: [0, 1]"),
        ("08:00-20:00", "aberto das oito às vinte!"),
        ("on_timeout: return", "on_timeout: wait"),
        ("tool_failures: 2", "tool_failures: 0"),
        ("apology: Desculpe, tive um problema.\n", ""),
    ],
)
def test_editors_underline_what_is_not(old: str, new: str) -> None:
    assert complaints(TEXT) == []
    assert complaints(changed(old, new))


def test_durations_are_said_as_they_are_written() -> None:
    timeout = reference.json_schema()["$defs"]["ModelSpec"]["properties"]["timeout"]
    assert (timeout["type"], timeout["default"]) == ("string", "20s")
    assert "1s to 1m" in timeout["description"]
    assert "| `timeout` | duration | `20s` | 1s to 1m |" in reference.markdown()


def test_the_example_of_opening_hours_is_valid() -> None:
    assert f"```yaml\n{reference.HOURS_EXAMPLE}```" in reference.markdown()
    text = TEXT + reference.HOURS_EXAMPLE
    assert complaints(text) == []
    hours = load({MAIN: text, **PROMPTS}).assistant.hours
    open_at = [datetime.fromisoformat(at) for at in ("2026-11-28T01:59", "2026-12-24T09:00", "2027-01-06T09:00")]
    closed_at = [datetime.fromisoformat(at) for at in ("2026-11-28T02:00", "2026-12-24T14:00", "2029-12-25T09:00")]
    assert [hours.open_at(at) for at in (*open_at, *closed_at)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: f"{row.expect}-{row.language}-{row.kept}")
def test_every_example_of_an_answer_is_parsed_so(row: Examples) -> None:
    ask = Ask(field="campo", question="?", expect=row.expect, choices=row.choices)
    assert {said: parse_answer(ask, said, row.language, TODAY) for said in row.said} == dict.fromkeys(
        row.said, row.kept
    )
    assert all(f"`{said}`" in reference.markdown() for said in row.said)


@pytest.mark.parametrize("language", template.LANGUAGES)
def test_the_template_is_valid_with_every_option_on(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "loja-123"
    written = template.write(folder, language)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(written)
    loaded = load_folder(folder)
    assert (loaded.assistant.name, loaded.assistant.language) == ("Loja 123", language)
    assert not any("__" in path.read_text("utf-8") for path in written if path.suffix != ".json")
    main = folder / "assistant.yaml"
    text = main.read_text("utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={template.SCHEMA_FILE}\n")
    switched_on = re.sub(r"(?m)^( *)# (?!yaml-language-server)", r"\1", text)
    main.write_text(switched_on, "utf-8")
    assert len(load_folder(folder).assistant.tools) > len(loaded.assistant.tools)
    assert complaints(text) == complaints(switched_on) == []
