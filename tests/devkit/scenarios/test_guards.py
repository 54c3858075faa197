"""Every shipped scenario of a known bug is red without the line that keeps the bug away."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devkit import embedded
from tests.devkit.scenarios.conftest import urls_of
from tests.devkit.scenarios.guards import GUARDS, GuardRemoval
from tests.devkit.scenarios.without_guards import OURS

ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).with_name("without_guards.py")


def copy_without(edits: tuple[GuardRemoval, ...], target: Path) -> str:
    """The sources, except for a guard."""
    for package in OURS:
        shutil.copytree(ROOT / package, target / package)
    for edit in edits:
        path = target / edit.file
        text = path.read_text()
        assert edit.old in text, f"{edit.file} no longer holds {edit.old!r}: name the guard as it is now"
        path.write_text(text.replace(edit.old, edit.new))
    return str(target)


@pytest.fixture(scope="module")
def outcomes(embedded_servers: embedded.EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of each scenario without its guard."""
    runs = [
        {"sources": copy_without(edits, tmp_path_factory.mktemp(name)), "scenario": name}
        for name, edits in GUARDS.items()
    ]
    environment = {
        **os.environ,
        **urls_of(embedded_servers),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(DRIVER)],
        input=json.dumps(runs),
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(GUARDS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("scenario", GUARDS)
def test_a_scenario_is_red_without_its_guard(scenario: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[scenario]
    assert outcome["code"] == 1, outcome["output"]
    assert f"{scenario}.yaml:" in outcome["output"]
    assert "0 passed, 1 failed" in outcome["output"]
