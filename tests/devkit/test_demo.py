"""The demo, as a newcomer runs it."""

import os
import subprocess
import sys
from pathlib import Path

from graphs.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
URLS = {"OWNER_DATABASE_URL", "DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL"}
VARIABLES = URLS | {provider.key_variable for provider in PROVIDERS.values()}


def smoke(data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `recado demo --smoke` without the user's keys and servers."""
    plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "cli", "demo", "--smoke", "--data", str(data)]
    return subprocess.run(command, cwd=ROOT, env=plain | environment, capture_output=True, text=True, timeout=100)


def test_smoke_gets_a_reply_and_a_restart_keeps_the_data(tmp_path: Path) -> None:
    for applied in (True, False):
        done = smoke(tmp_path)
        assert done.returncode == 0, done.stderr
        assert "assistant: A limpeza custa *R$ 220*" in done.stdout
        assert ("applied 2" in done.stdout) == applied


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    done = smoke(tmp_path, OPENAI_API_KEY="none", OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert done.returncode == 1
    assert "error: the model gave no usable answer" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
