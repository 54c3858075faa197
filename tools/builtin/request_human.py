"""Lets an agent ask for a human."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, ToolContext


class RequestHuman(BaseModel):
    """Why a human is needed."""

    reason: str = Field(description="Why a human is needed, in one sentence.", min_length=2, max_length=300)


async def request_human(_: ToolContext, __: RequestHuman) -> JSON:
    """Changes nothing itself: the graph goes to the handoff when it sees this tool called."""
    return {"status": "an operator takes over the conversation from here"}


REQUEST_HUMAN = builtin_tool(
    name="request_human",
    description="Hands the conversation to a human operator. Use it when the contact asks for a person.",
    arguments=RequestHuman,
    effects="handoff",
    run=request_human,
)
