"""The command from outside: what passes, what fails and how that reads, and the real model."""

import os
import re
import subprocess
import sys
import urllib.request

import pytest

from devkit import embedded
from devkit.scenarios.loader import load_folder
from tests.devkit.scenarios.conftest import COMMAND, ROOT, Ended, PlayAll, urls_of
from tests.platform import SimulatorUrls

SHIPPED = ("clinica-sorriso", "loja-aurora", "escola-horizonte")

LIVE_SCRIPT = """
name: live
match: Clínica Sorriso
rules:
  - when: {structured: true}
    json: {to: duvidas, why: everything}
  - say: real words
"""


@pytest.mark.parametrize("tenant", SHIPPED)
def test_all_shipped_scenarios_pass(tenant: str, embedded_servers: embedded.EmbeddedServers) -> None:
    folder = ROOT / "tenants" / tenant
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(folder)],
        env={**os.environ, **urls_of(embedded_servers), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(load_folder(folder))} passed, 0 failed" in done.stdout


SCENARIOS = {
    "fails": """
name: a price
steps:
  - at: 2s
    say: Quanto custa uma limpeza?
    expect:
      status: closed
      reply: Nada
""",
    "reordered": """
name: reordered
steps:
  - say: [primeiro, segundo]
    reorder: true
    expect: {reply_count: 1, model: {sees: [primeiro, segundo]}}
  - expect: {reply: never}
""",
    "button": """
name: a button
steps:
  - {button: agenda_hoje, say: Quero hoje, expect: {agent: agenda, reply_count: 1}}
""",
    "late": """
name: late
steps:
  - {at: 0s, say: Oi, expect: {reply_count: 1}}
  - {at: 1s, say: Oi}
""",
}


@pytest.fixture(scope="module")
def played(play_all: PlayAll) -> Ended:
    """What becomes of several scenarios, in one go."""
    return play_all({name: text.lstrip() for name, text in SCENARIOS.items()})


def test_one_failure_is_enough_for_the_exit_code(played: Ended) -> None:
    assert played.code == 1
    assert "1 passed, 3 failed in" in played.output


def test_a_failure_names_the_place_and_tells_the_story(played: Ended) -> None:
    assert "fails.yaml:6: expected 'closed', got 'bot'" in played.output
    assert "fails.yaml:7: expected \n      - \"is 'Nada'\", got" in played.output
    assert "     2.000s  contact    Quanto custa uma limpeza?" in played.output
    assert re.search(r"\n +5\.\d{3}s  assistant  A limpeza custa \*R\$ 220\*\.", played.output), played.output


def test_a_burst_arrives_in_the_order_that_the_scenario_says(played: Ended) -> None:
    assert played.output.index("contact    segundo") < played.output.index("contact    primeiro")
    assert "reordered.yaml:6: expected" in played.output


def test_a_button_is_pressed(played: Ended) -> None:
    assert "passed   a button" in played.output


def test_a_moment_that_is_over_is_said(played: Ended) -> None:
    assert "late.yaml:4: 1.000s is over" in played.output


def test_live_runs_do_not_compare_exact_texts(play_all: PlayAll, simulators: SimulatorUrls) -> None:
    with urllib.request.urlopen(f"{simulators.model}/control/scripts", LIVE_SCRIPT.encode()) as answer:
        assert answer.status == 200
    environment = {"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": f"{simulators.model}/v1"}
    ended = play_all(
        {
            "one": "name: live\nsteps:\n  - say: por favor\n    expect: {replies: [whatever], model: {requests: 2}}\n"
            "  - say: por favor\n    expect: {reply: {contains: never said by anybody}}\n"
        },
        "--live",
        **environment,
    )
    assert ended.code == 1, ended.output
    assert "one.yaml:6: expected" in ended.output, ended.output
    assert "one.yaml:4" not in ended.output


def test_the_real_model_needs_its_key(play_all: PlayAll) -> None:
    ended = play_all({"one": "name: live\nsteps:\n  - {say: Oi}\n"}, "--live", OPENAI_API_KEY="")
    assert ended.code == 1
    assert "--live needs OPENAI_API_KEY" in ended.output
