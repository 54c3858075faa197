"""Rules that every built-in tool follows."""

import pytest

from tools.registry import BUILTIN


@pytest.mark.parametrize("name", BUILTIN)
def test_a_declaration_has_the_form_that_models_accept(name: str) -> None:
    declaration = BUILTIN[name].declaration()
    assert declaration["type"] == "function"
    function = declaration["function"]
    assert function["name"] == name
    assert function["description"]
    parameters = function["parameters"]
    assert parameters["type"] == "object"
    assert "title" not in parameters, "the class name is not for models"
    properties = parameters["properties"]
    assert all(value.get("description") for value in properties.values()), "every parameter needs a description"


def test_a_tool_is_registered_under_its_name() -> None:
    assert {name: tool.name for name, tool in BUILTIN.items()} == {name: name for name in BUILTIN}


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_tool_is_local(name: str) -> None:
    """The ports of the database exist only inside Recado's transactions."""
    assert not BUILTIN[name].remote
