"""README's table of recipes: each is applied to a copy of the repository, and the copy passes every check."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.recipes.recipes import RECIPES, Recipe

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files"
ROW = re.compile(r"^\| \[?(an? [^|\]]+)(?:\]\([^)]*\))? \|([^|]*)\|([^|]*)\|$", re.MULTILINE)
TABLE = (ROOT / "README.md").read_text("utf-8").partition("## Where things go")[2].partition("\n## ")[0]
PACKAGES = ("cli", "devkit", "app", "manifest", "graphs", "tools", "migrations")
COPIED = ("*.py", "*.sql", "*.yaml", "*.md", "*.toml", "*.json", "*.html", "*.css", "*.js", "*.svg", "justfile")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository to which all recipes are applied."""
    copy = tmp_path_factory.mktemp("recado")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *COPIED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")
    for recipe in RECIPES:
        apply(recipe, copy)
    return copy


def apply(recipe: Recipe, copy: Path) -> None:
    """Write the new files and make the edits."""
    for name in (*recipe.files, *recipe.tests):
        assert not (copy / name).exists(), f"{name} exists already"
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / f"{name}.txt", copy / name)
    for edit in recipe.edits:
        text = (copy / edit.path).read_text("utf-8")
        assert text.count(edit.old) == 1, f"{edit.path} has {text.count(edit.old)} times: {edit.old}"
        (copy / edit.path).write_text(text.replace(edit.old, edit.new), "utf-8")


def environment(copy: Path) -> dict[str, str]:
    """Return an environment in which Python imports the copy."""
    return {**os.environ, "PYTHONPATH": str(copy)}


def run(copy: Path, *command: str) -> None:
    """Run a Python program in the copy. It must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.row for recipe in RECIPES])
def test_the_readme_names_every_file_of_a_recipe(recipe: Recipe) -> None:
    rows = {row: f"{write} {name_it}" for row, write, name_it in ROW.findall(TABLE)}
    named = [re.sub(r"<\w+>", "*", name) for name in re.findall(r"`([^`]+)`", rows[recipe.row])]
    touched = {*recipe.files, *(edit.path for edit in recipe.edits)}
    unnamed = {path for path in touched if not any(matches(path, name) for name in named)}
    assert not unnamed, f"README's row for {recipe.row} names {named}"


def matches(path: str, named: str) -> bool:
    """Return whether README's `named` stands for the path: a pattern, a folder, or a file's name."""
    return (
        fnmatchcase(path, named)
        or (named.endswith("/") and fnmatchcase(path, f"{named}*"))
        or path.endswith(f"/{named}")
    )


def test_every_row_of_the_readme_is_a_recipe() -> None:
    rows = [row for row, _, _ in ROW.findall(TABLE)]
    assert rows == [recipe.row for recipe in RECIPES]


def test_lint_passes(scratch: Path) -> None:
    run(scratch, "-m", "ruff", "check", "--fix", "--select", "I", "--quiet", ".")
    run(scratch, "-m", "ruff", "format", "--quiet", ".")
    run(scratch, "-m", "ruff", "check", ".")


def test_types_pass(scratch: Path) -> None:
    # Not bench and the other tests, which no recipe touches: without a cache they take a third of the time.
    run(scratch, "-m", "mypy", *PACKAGES, *(test for recipe in RECIPES for test in recipe.tests))


def test_import_contracts_pass(scratch: Path) -> None:
    run(scratch, "-c", "from importlinter.cli import lint_imports_command as c; c()")


def test_the_reference_is_regenerated_by_command(scratch: Path) -> None:
    for name, options in (("assistant.schema.json", []), ("assistant-yaml.md", ["--markdown"])):
        output = scratch / "docs" / "reference" / name
        before = output.read_text("utf-8")
        command = [sys.executable, "-m", "cli", "tenants", "schema", *options]
        text = subprocess.run(command, cwd=scratch, env=environment(scratch), capture_output=True, check=True).stdout
        output.write_bytes(text)
        assert "mistral" in output.read_text("utf-8")
        assert "priority" in output.read_text("utf-8")
        assert "mistral" not in before


def test_the_new_things_work(scratch: Path) -> None:
    tests = [test for recipe in RECIPES for test in recipe.tests]
    run(scratch, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *tests)
