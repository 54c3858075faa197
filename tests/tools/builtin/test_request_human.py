"""request_human: what it accepts, and what the model reads."""

from typing import Any

import pytest

from tests.tools.fake_ports import run_locally
from tools.base import InvalidArguments
from tools.builtin.request_human import TOOL
from tools.ports import LocalPorts


def test_it_requests_a_handoff_and_needs_nothing() -> None:
    assert (TOOL.effects, TOOL.needs) == ("handoff", frozenset())


@pytest.mark.parametrize(("arguments", "reason"), [({}, "reason: Field required"), ({"reason": "x" * 301}, "reason")])
def test_invalid_arguments_are_explained(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason) as raised:
        TOOL.parse(arguments)
    assert "https://" not in str(raised.value), "links are of no use to a model"


async def test_the_tool_itself_changes_nothing() -> None:
    result = await run_locally(TOOL, LocalPorts(), reason="dor forte")
    assert "operator" in result["status"]
