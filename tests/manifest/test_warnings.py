"""What a valid manifest asks for, and WhatsApp does not take."""

import pytest

from manifest.loader import MAIN, load
from tests.manifest.files import PROMPTS, changed, place

IDLE = "idle: 23h"


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in load({MAIN: text, **PROMPTS}).warnings]


@pytest.mark.parametrize(
    ("new", "what", "least"),
    [
        ("idle: 24h", "`goodbye` comes 24 h", "less than 24h for `idle`"),
        ("idle: 20h\n  idle_message: Oi?", "`goodbye` comes 40 h", "less than 12h for `idle`"),
        ("idle: 2d\n  idle_message: Oi?", "`idle_message` comes 48 h", "less than 12h for `idle`"),
    ],
)
def test_what_is_said_after_24_hours_is_warned_about(new: str, what: str, least: str) -> None:
    text = changed(IDLE, new)
    (warning,) = warnings(text)
    at = place(text, new.splitlines()[0].partition(" ")[2])
    assert warning.startswith(f"{at}: warning: {what}")
    assert least in warning


@pytest.mark.parametrize("new", ["idle: 23h", "idle: 11h\n  idle_message: Oi?", "expire: 20h"])
def test_what_is_said_earlier_is_not(new: str) -> None:
    assert warnings(changed(IDLE, new)) == []


@pytest.mark.parametrize("section", ["timeout: 2d\n  on_timeout: return", "sla: 2d"])
def test_a_human_who_may_come_too_late_is_warned_about(section: str) -> None:
    text = changed(IDLE, "idle: 2h").replace("timeout: 2h\n  on_timeout: return", section)
    (warning,) = warnings(text)
    assert "48 h after the contact's last message" in warning


TOOL = """tools:
  {name}:
    description: chama
    {kind}
"""


@pytest.mark.parametrize("name", ["transfer_to_human", "falar_com_atendente", "chamar_pessoa", "escalate"])
def test_a_tool_that_seems_to_call_a_person_gets_a_hint(name: str) -> None:
    text = changed(IDLE, "idle: 2h") + TOOL.format(name=name, kind="http: {url: https://a.example/x}")
    (warning,) = warnings(text)
    assert "write `handoff: true` in place of `http`" in warning
    assert warnings(changed(IDLE, "idle: 2h") + TOOL.format(name=name, kind="handoff: true")) == []
