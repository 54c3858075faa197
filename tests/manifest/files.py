"""A valid assistant, and changes that make it invalid in one place."""

from collections.abc import Mapping

from manifest.folder import load_folder
from manifest.loader import MAIN, Files, InvalidFiles, load
from tests.platform import TENANT, TENANTS

VALID: Files = load_folder(TENANTS / TENANT).files
TEXT = VALID[MAIN]
PROMPTS: Files = {name: text for name, text in VALID.items() if name != MAIN}


def changed(old: str, new: str) -> str:
    """Return the valid YAML with one replacement."""
    assert TEXT.count(old) == 1, f"{old!r} must be there once"
    return TEXT.replace(old, new)


def place(text: str, what: str) -> str:
    """Return file:line:column of the only occurrence of a text."""
    assert text.count(what) == 1, f"{what!r} must be there once"
    before = text[: text.index(what)]
    return f"{MAIN}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def problems(text: str, prompts: Mapping[str, str] = PROMPTS) -> list[str]:
    """Return the problems that loading the YAML reports."""
    try:
        load({MAIN: text, **prompts})
    except InvalidFiles as error:
        return [str(problem) for problem in error.problems]
    return []
