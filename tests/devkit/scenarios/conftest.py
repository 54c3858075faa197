"""A tenant's folder with scenarios that a test writes, and the command that plays them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from devkit import embedded

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "tenants" / "clinica-sorriso"
COMMAND = "from cli.scenarios import command; command()"


@dataclass(frozen=True)
class Ended:
    """What `recado tenants test` ended with."""

    code: int
    output: str


PlayAll = Callable[..., Ended]


@pytest.fixture(scope="module")
def play_all(embedded_servers: embedded.Servers, tmp_path_factory: pytest.TempPathFactory) -> PlayAll:
    """Writes scenarios beside the clinic's assistant and plays them, in a process of its own."""

    def run(scenarios: Mapping[str, str], *options: str, **environment: str) -> Ended:
        folder = tmp_path_factory.mktemp("tenants") / "clinica-sorriso"
        shutil.copytree(CLINIC, folder, ignore=shutil.ignore_patterns("scenarios"))
        (folder / "scenarios").mkdir()
        shutil.copy(CLINIC / "scenarios" / "model.yaml", folder / "scenarios")
        for name, text in scenarios.items():
            (folder / "scenarios" / f"{name}.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(folder), *options],
            env={**os.environ, "DATABASE_URL": embedded_servers.database_url, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Ended(done.returncode, done.stdout + done.stderr)

    return run
