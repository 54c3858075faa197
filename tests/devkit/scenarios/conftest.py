"""Run scenarios that a test writes, by the command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from devkit import embedded
from devkit.database_urls import DatabaseUrls

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "tenants" / "clinica-sorriso"
COMMAND = "from cli.scenarios import command; command()"


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of `recado tenants test`."""

    code: int
    output: str


def urls_of(servers: embedded.EmbeddedServers) -> dict[str, str]:
    """Return the variables of a Postgres where scenarios may make their databases."""
    return DatabaseUrls.of_owner(servers.database_url).environment


PlayAll = Callable[..., Ended]


@pytest.fixture(scope="module")
def play_all(embedded_servers: embedded.EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> PlayAll:
    """Return a function that writes scenarios beside the clinic's assistant, and runs them as a process."""

    def run(scenarios: Mapping[str, str], *options: str, **environment: str) -> Ended:
        folder = tmp_path_factory.mktemp("tenants") / "clinica-sorriso"
        shutil.copytree(CLINIC, folder, ignore=shutil.ignore_patterns("scenarios"))
        (folder / "scenarios").mkdir()
        shutil.copy(CLINIC / "scenarios" / "model.yaml", folder / "scenarios")
        for name, text in scenarios.items():
            (folder / "scenarios" / f"{name}.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(folder), *options],
            env={
                **os.environ,
                **urls_of(embedded_servers),
                "PYTHONPATH": str(ROOT),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Ended(done.returncode, done.stdout + done.stderr)

    return run
