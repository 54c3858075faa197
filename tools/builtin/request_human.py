"""request_human: hands the conversation to an operator."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, ToolContext


class RequestHuman(BaseModel):
    """The reason why a human is needed."""

    reason: str = Field(description="Why a human is needed, in one sentence.", min_length=2, max_length=300)


async def request_human(_: ToolContext, __: RequestHuman) -> JSON:
    """Return the result for the model. The handoff itself is done by the graph, after a call of this tool."""
    return {"status": "an operator takes over the conversation from here"}


TOOL = builtin_tool(
    name="request_human",
    description="Hands the conversation to a human operator. Use it when the contact asks for a person.",
    arguments=RequestHuman,
    effects="handoff",
    run=request_human,
)
