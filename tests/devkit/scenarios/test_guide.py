"""The page about scenarios says what they can do, and its examples work."""

import re
from pathlib import Path

import pytest

from devkit.scenarios.loader import load
from devkit.scenarios.schema import DURING, Expect, ScenarioFile, Step
from devkit.simulators.llm.script_loader import load_files

PAGE = (Path(__file__).parents[3] / "docs" / "guide" / "scenarios.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("name", [*Step.model_fields, *Expect.model_fields, *ScenarioFile.model_fields])
def test_every_key_is_on_the_page(name: str) -> None:
    assert re.search(rf"\b{name.rstrip('_')}\b", PAGE)


@pytest.mark.parametrize("point", DURING)
def test_every_point_that_a_step_may_wait_for_is_on_the_page(point: str) -> None:
    assert f"`{point}`" in PAGE or f"during: {point}`" in PAGE


def test_the_examples_are_valid(tmp_path: Path) -> None:
    scenario, script = EXAMPLES
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "example.yaml").write_text(scenario, encoding="utf-8")
    (folder / "model.yaml").write_text(script, encoding="utf-8")
    assert load(folder / "example.yaml").document.steps
    assert load_files([folder / "model.yaml"])[0].rules
