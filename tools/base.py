"""The shape of a tool."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from tools.context import JSON, ToolContext


class InvalidArguments(Exception):
    """The model's arguments do not fit. The text tells the model why."""


@dataclass(frozen=True)
class Tool:
    """Something an agent may do.

    `effects`: `read` changes nothing and may run again; `write` runs once, through the journal; `handoff` asks for a
    human, and the graph goes to the handoff after the call.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    effects: Literal["read", "write", "handoff"]
    run: Callable[[ToolContext, Any], Awaitable[JSON]]

    def parse(self, arguments: JSON) -> BaseModel:
        """The arguments as the tool wants them. Raises InvalidArguments."""
        try:
            return self.arguments.model_validate(arguments)
        except ValidationError as error:
            reasons = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise InvalidArguments(reasons) from None

    def declaration(self) -> dict[str, Any]:
        """The tool as a model is told of it."""
        schema = self.arguments.model_json_schema()
        schema.pop("title", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": schema},
        }
