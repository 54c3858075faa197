"""request_human: hands the conversation to an operator."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from tools.base import Tool, builtin_tool
from tools.ports import JSON, ToolContext


class RequestHuman(BaseModel):
    """The reason why a human is needed."""

    reason: str = Field(description="Why a human is needed, in one sentence.", min_length=2, max_length=300)


async def request_human(_: ToolContext, __: Any) -> JSON:
    """Return the result for the model. The handoff itself is done by the graph, after a call of this tool."""
    return {"status": "an operator takes over the conversation from here"}


def handoff_tool(name: str, description: str, parameters: JSON, parse: Callable[[JSON], Any]) -> Tool:
    """Return a tool of a tenant that hands the conversation over."""
    return Tool(name, description, parameters, "handoff", request_human, parse)


TOOL = builtin_tool(
    name="request_human",
    description="Hands the conversation to a human operator. Use it when the contact asks for a person.",
    arguments=RequestHuman,
    effects="handoff",
    run=request_human,
)
