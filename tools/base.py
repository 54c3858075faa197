"""The shape of a tool."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from tools.ports import JSON, ToolContext

Effects = Literal["read", "write", "handoff"]


class InvalidArguments(Exception):
    """The model's arguments do not fit. The text tells the model why."""


@dataclass(frozen=True)
class Tool:
    """Something an agent may do.

    `effects`: `read` changes nothing and may run again; `write` runs once, through the journal; `handoff` asks for a
    human, and the graph goes to the handoff after the call. `remote`: it works outside of our database, so what it
    did cannot be undone with a transaction; `idempotent`: there, a second call with the same key does nothing more.
    `parse` makes of a model's arguments what `run` takes, or raises InvalidArguments. `secrets` are the names of those
    that it needs.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    effects: Effects
    run: Callable[[ToolContext, Any], Awaitable[JSON]]
    parse: Callable[[JSON], Any]
    remote: bool = False
    idempotent: bool = False
    approval: bool = False
    secrets: frozenset[str] = frozenset()

    def declaration(self) -> dict[str, Any]:
        """The tool as a model is told of it."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": dict(self.parameters)},
        }


def builtin_tool(
    name: str,
    description: str,
    arguments: type[BaseModel],
    effects: Effects,
    run: Callable[[ToolContext, Any], Awaitable[JSON]],
) -> Tool:
    """A tool of ours, whose arguments are a pydantic model."""
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    return Tool(name, description, schema, effects, run, partial(_parsed, arguments))


def _parsed(model: type[BaseModel], arguments: JSON) -> BaseModel:
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise InvalidArguments(reasons) from None
