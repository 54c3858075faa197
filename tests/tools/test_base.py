"""The definition of a tool."""

from dataclasses import replace

import pytest

from tools.ports import Need
from tools.registry import BUILTIN


@pytest.mark.parametrize("need", Need)
def test_a_remote_tool_can_have_no_needs(need: Need) -> None:
    with pytest.raises(ValueError, match=f"a remote tool cannot need {need}"):
        replace(BUILTIN["request_human"], remote=True, needs=frozenset({need}))
