"""What is wrong with a scenario is said by file, line and column, and how to mend it."""

from pathlib import Path

import pytest

from devkit.scenarios.loader import load, load_folder
from manifest.yaml_source import InvalidFiles
from tests.devkit.scenarios.conftest import CLINIC

BROKEN = {
    "name: x\nsteps:\n  - sya: Oi\n": "3:5: unknown key `sya`: did you mean `say`?",
    "name: x\nsteps:\n  - say: Oi\n    expect: {replly: Oi}\n": "4:14: unknown key `replly`: did you mean `reply`?",
    "name: x\n": "1:1: `steps` is missing",
    "name: x\nsteps:\n  - {at: soon, say: Oi}\n": "3:10: steps[0].at: expected a time since the beginning",
    "name: x\nsteps:\n  - {at: 5 parsecs, say: Oi}\n": "3:10: steps[0].at: expected a duration such as",
    "name: x\nsteps:\n  - during: lunch\n    say: Oi\n": "3:5: steps[0]: `during` must be one of: model, turn claimed",
    "name: x\nsteps:\n  - {say: Oi, advance: 2h}\n": "3:5: steps[0]: a step does one thing, not 2: say, advance",
    "name: x\nsteps:\n  - at: 2s\n": "3:5: steps[0]: a step needs `expect`, or one of: say, button",
    "name: x\nsteps:\n  - {operator: shout}\n": "3:16: steps[0].operator: Input should be 'return', 'close'",
    "name: x\nsteps:\n  - {expect: {reply: {regex: '('}}}\n": "3:30: steps[0].expect.reply.regex: not a regular expr",
    "name: x\nwith: [shop, bank]\nsteps:\n  - {say: Oi}\n": "2:14: with[1]: Input should be 'shop' or 'school'",
    "name: x\nmodel: none.yaml\nsteps:\n  - {say: Oi}\n": "2:8: there is no model script `none.yaml` beside it",
    "name: x\nsteps:\n  - {say: Oi\n": "4:1: expected ',' or '}', but got '<stream end>'",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_scenario_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text("name: x\nrules:\n  - say: x\n")
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFiles) as refused:
        load(path)
    assert str(refused.value).startswith(f"scenarios/broken.yaml:{BROKEN[text]}")


@pytest.mark.parametrize(("written", "is_said"), [("custa", True), ("{is: custa}", False), ("[x, R$]", True)])
def test_a_text_that_is_never_said_is_not_contained(tmp_path: Path, written: str, is_said: bool) -> None:
    (tmp_path / "model.yaml").write_text("name: x\nrules:\n  - say: x\n")
    path = tmp_path / "silent.yaml"
    path.write_text(f"name: x\nsteps:\n  - {{say: Oi, expect: {{never_said: {written}}}}}\n")
    expect = load(path).document.steps[0].expect
    assert expect is not None
    assert any(each.matches("Uma limpeza custa R$ 220.") for each in expect.never_said) == is_said


def test_shipped_scenarios_are_valid_without_model_scripts() -> None:
    names = [scenario.path.stem for scenario in load_folder(CLINIC)]
    assert "ev-2737-delivered-twice" in names
    assert "model" not in names


def test_a_name_that_no_scenario_has_is_an_error() -> None:
    with pytest.raises(InvalidFiles, match="no scenario whose file's name contains 'nothing-like-it'"):
        load_folder(CLINIC, "nothing-like-it")
