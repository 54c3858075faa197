"""The ports of a tool call's context."""

from dataclasses import replace

import pytest

from tests.tools.fake_ports import NOW, SAO_PAULO, FakeCalendar, NoHttp
from tools.ports import Appointments, LocalPorts, Need, ToolContext, ToolFailed

LOCAL = ToolContext(NOW, SAO_PAULO, NoHttp(), LocalPorts(appointments=FakeCalendar()))


def test_a_tool_uses_a_port_that_it_declares() -> None:
    context = replace(LOCAL, granted=frozenset({Need.CALENDARS}))
    assert isinstance(context.appointments, Appointments)


def test_a_port_that_a_tool_does_not_declare_is_refused() -> None:
    context = replace(LOCAL, granted=frozenset({Need.FACTS}))
    with pytest.raises(ToolFailed, match="uses calendars but does not declare it in `needs`"):
        _ = context.appointments


@pytest.mark.parametrize(
    ("port", "need"), [("appointments", "calendars"), ("facts", "facts"), ("knowledge", "knowledge")]
)
def test_a_port_that_is_absent_fails_the_tool(port: str, need: str) -> None:
    context = ToolContext(NOW, SAO_PAULO, NoHttp())
    with pytest.raises(ToolFailed, match=f"{need}: not available where this tool runs"):
        getattr(context, port)
