"""The definition of a tool."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from tools.ports import JSON, Need, ToolContext

Effects = Literal["read", "write", "handoff"]


class InvalidArguments(Exception):
    """The model's arguments do not match the tool's parameters. The model reads the text."""


@dataclass(frozen=True)
class Tool:
    """A tool that an agent or a flow may call.

    `effects`: `read` changes nothing and may be repeated; `write` runs once, through the journal; `handoff` requests
    an operator, and the graph goes to the handoff after the call.
    `remote`: the tool calls another system, so that its effects cannot be rolled back with a transaction.
    `idempotent`: a remote tool that has no further effect when it is called again with the same key.
    `parse` converts the model's arguments to what `run` takes. It raises InvalidArguments.
    `secrets` names the secrets that the tool receives in its context, and `trusted` the trusted values that it uses.
    `needs` names the parts of the manifest that the tool cannot work without. A manifest that names the tool and
    lacks such a part is refused. A remote tool can have no needs.
    `result_limit` is the number of characters of a result, as JSON, that a model reads.
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
    trusted: frozenset[str] = frozenset()
    needs: frozenset[Need] = frozenset()
    result_limit: int = 8_000

    def __post_init__(self) -> None:
        if self.remote and self.needs:
            raise ValueError(f"{self.name}: a remote tool cannot need {', '.join(sorted(self.needs))}")

    def declaration(self) -> dict[str, Any]:
        """Return the function declaration that is sent to models."""
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
    *,
    needs: frozenset[Need] = frozenset(),
) -> Tool:
    """Return a local tool whose parameters are the fields of a pydantic model.

    Models read the docstring of the pydantic model and the descriptions of its fields.
    """
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    return Tool(name, description, schema, effects, run, partial(_validate, arguments), needs=needs)


def _validate(model: type[BaseModel], arguments: JSON) -> BaseModel:
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise InvalidArguments(reasons) from None
