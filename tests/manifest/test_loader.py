"""From a tenant's folder to what graphs are built from."""

import resource
import shutil
import subprocess
import sys
import unicodedata
from datetime import time
from importlib import resources
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from graphs.config import CLASSIFY, Calendar, Lifecycle
from graphs.sections import Handoff, ModelSpec
from manifest.folder import load_folder
from manifest.loader import LARGEST_FILE, MAIN, InvalidFiles, load
from tests.manifest.files import PROMPTS, TEXT, VALID, changed
from tests.platform import TENANT, TENANTS

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 400 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid tenant's folder."""
    return Path(shutil.copytree(TENANTS / TENANT, tmp_path / TENANT))


def problem(folder: Path) -> str:
    """The one thing that is wrong with it."""
    with pytest.raises(InvalidFiles) as raised:
        load_folder(folder)
    (found,) = raised.value.problems
    assert str(raised.value) == str(found)
    return str(found)


# What is made of the files.


def test_the_yaml_is_what_the_assistant_says() -> None:
    assistant = load(VALID).assistant
    assert (assistant.name, assistant.language) == ("Clínica de Testes", "pt-BR")
    assert assistant.timezone == ZoneInfo("America/Sao_Paulo")
    assert assistant.models == (
        ModelSpec.model_validate({"provider": "openai", "model": "test-model", "timeout": "5s"}),
    )
    assert list(assistant.agents) == ["agenda", "duvidas"]
    assert assistant.agents["agenda"].prompt == PROMPTS["prompts/agenda.md"]
    assert assistant.agents["agenda"].tools == ("find_slots", "book_slot", "request_human")
    assert [(rule.to, rule.match, rule.button) for rule in assistant.rules] == [
        ("handoff", ("atendente", "falar com alguém"), None),
        ("close", ("tchau",), None),
        ("agenda", (), "agenda_*"),
    ]
    assert (assistant.otherwise, assistant.window) == (CLASSIFY, 12)
    assert assistant.handoff == Handoff.model_validate(
        {"queue": "recepcao", "message": "Vou chamar uma pessoa.", "timeout": "2h"}
    )
    assert assistant.lifecycle == Lifecycle(idle=82_800.0, goodbye="Até logo!")
    assert assistant.calendars == (Calendar("sala", tuple(range(7)), time(8), time(20), 3600.0),)


def test_what_is_left_out_has_a_default() -> None:
    text = """
name: Pequena
language: es
models: {default: {provider: groq, model: m}}
agents: {uno: {description: todo, prompt: p.md}}
apology: Perdón.
"""
    assistant = load({MAIN: text, "p.md": "Hola."}).assistant
    assert assistant.timezone == ZoneInfo("UTC")
    assert (assistant.rules, assistant.otherwise, assistant.window, assistant.calendars) == ((), CLASSIFY, 20, ())
    assert (assistant.handoff, assistant.lifecycle) == (Handoff(), Lifecycle())
    assert assistant.models == (ModelSpec(provider="groq", model="m"),)


@pytest.mark.parametrize(
    ("lifecycle", "debounce", "cap"),
    [
        ("debounce: 2s", 2.0, 10.0),
        ("debounce: 1500ms, debounce_cap: 8s", 1.5, 8.0),
        ("debounce: 4s, debounce_cap: 1s", 4.0, 4.0),
        ("debounce: 2s, debounce_cap: 0s", 2.0, 2.0),
        ("idle: 1h", 0.0, 0.0),
    ],
)
def test_the_longest_wait_is_no_shorter_than_the_wait(lifecycle: str, debounce: float, cap: float) -> None:
    text = changed("lifecycle:\n  idle: 23h\n  goodbye: Até logo!\n", f"lifecycle: {{{lifecycle}}}\n")
    found = load({MAIN: text, **PROMPTS}).assistant.lifecycle
    assert (found.debounce, found.debounce_cap) == (debounce, cap)


# The hash.


def test_the_hash_names_exactly_the_files_that_are_used() -> None:
    known = load(VALID).content_hash
    assert known == load(dict(sorted(VALID.items(), reverse=True))).content_hash
    assert known == load({**VALID, "prompts/unused.md": "x", "notes.md": "y"}).content_hash
    assert len(known) == 64


@pytest.mark.parametrize("name", VALID)
def test_one_character_more_is_another_version(name: str) -> None:
    assert load({**VALID, name: VALID[name] + "\n"}).content_hash != load(VALID).content_hash


def test_a_prompt_under_another_name_is_another_version() -> None:
    text = TEXT.replace("prompts/agenda.md", "prompts/calendar.md")
    renamed = {MAIN: text, "prompts/calendar.md": PROMPTS["prompts/agenda.md"], **PROMPTS}
    assert load(renamed).content_hash != load(VALID).content_hash


def test_a_folder_and_its_published_files_are_the_same_version() -> None:
    loaded = load_folder(TENANTS / TENANT)
    assert load(loaded.files).content_hash == loaded.content_hash
    assert set(loaded.files) == {MAIN, "prompts/agenda.md", "prompts/duvidas.md"}


# Folders.


def test_the_shipped_tenants_are_valid() -> None:
    folders = [entry for entry in resources.files("tenants").iterdir() if entry.joinpath(MAIN).is_file()]
    assert "clinica-sorriso" in {folder.name for folder in folders}
    for folder in folders:
        assert load_folder(Path(str(folder))).assistant.agents


def test_a_folder_without_the_file_says_which_one_is_missing(folder: Path) -> None:
    (folder / MAIN).unlink()
    assert MAIN in problem(folder)
    assert "No such file" in problem(folder)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(folder: Path) -> None:
    (folder / MAIN).write_text(TEXT + "#" * 300 * 1024)
    assert problem(folder) == f"{MAIN}:1:1: it is larger than {LARGEST_FILE // 1024} KiB"


def test_a_prompt_that_is_too_large_is_refused_by_its_name(folder: Path) -> None:
    (folder / "prompts/agenda.md").write_text("a" * (LARGEST_FILE + 1))
    assert problem(folder).startswith("prompts/agenda.md:1:1: it is larger than")


@pytest.mark.parametrize("name", [MAIN, "prompts/agenda.md"])
@pytest.mark.parametrize("text", ["Clínica".encode("latin-1"), "Clínica".encode("utf-16"), b"\xff", b"a\xed\xa0\x80"])
def test_a_file_that_is_not_utf_8_is_refused_by_its_name(folder: Path, name: str, text: bytes) -> None:
    (folder / name).write_bytes(text)
    assert problem(folder) == f"{name}:1:1: it is not UTF-8 text: save the file as UTF-8"


def test_a_bad_line_is_named(folder: Path) -> None:
    (folder / "prompts/agenda.md").write_bytes("Olá\nClínica\n".encode() + b"pre\xe7o\n")
    assert problem(folder).startswith("prompts/agenda.md:3:1: it is not UTF-8 text")


Form = Literal["NFC", "NFD"]


@pytest.mark.parametrize(("on_disk", "in_yaml"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_with_accents_is_found_however_they_are_written(folder: Path, on_disk: Form, in_yaml: Form) -> None:
    name = "prompts/atenção.md"
    (folder / unicodedata.normalize(on_disk, name)).write_text("Atenda.", "utf-8")
    text = TEXT.replace("prompts/agenda.md", unicodedata.normalize(in_yaml, name))
    (folder / MAIN).write_text(text, "utf-8")
    assert load_folder(folder).assistant.agents["agenda"].prompt == "Atenda."


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    (folder / MAIN).write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_folder(folder).assistant.name == "Clínica de Testes"


def test_windows_line_ends_do_no_harm(folder: Path) -> None:
    (folder / MAIN).write_bytes(TEXT.replace("\n", "\r\n").encode())
    assert load_folder(folder).assistant.agents


def test_a_prompt_that_is_no_file_is_a_problem(folder: Path) -> None:
    (folder / "prompts/agenda.md").unlink()
    (folder / "prompts/agenda.md").mkdir()
    assert "agenda.md" in problem(folder)


def test_a_link_does_not_lead_a_prompt_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """What it leads to would be published, and told to a model."""
    (tmp_path / "secret.txt").write_text("a secret of the machine")
    (folder / "prompts/agenda.md").unlink()
    (folder / "prompts/agenda.md").symlink_to(tmp_path / "secret.txt")
    assert "agenda.md" in problem(folder)


def test_multiplying_aliases_are_refused_early(folder: Path) -> None:
    """A thousand bytes that stand for ten to the power of nine words."""
    rows = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    rows += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    (folder / MAIN).write_text("\n".join([*rows, TEXT]))
    checked = subprocess.run(
        [sys.executable, "-m", "cli", "tenants", "check", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    assert "Traceback" not in checked.stderr, checked.stderr[-500:]
    assert checked.returncode == 1
    assert f"{folder}/{MAIN}:1:" in checked.stderr
