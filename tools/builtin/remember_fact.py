"""Lets an agent keep what it has learned of the contact."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, ToolContext


class RememberFact(BaseModel):
    """What to keep, and what it makes untrue."""

    fact: str = Field(
        description="One fact of the contact that will matter in later conversations, in a short sentence.",
        min_length=2,
        max_length=200,
    )
    replaces: str | None = Field(
        default=None, description="The known fact, word for word, that is no longer true.", max_length=200
    )


async def remember_fact(context: ToolContext, arguments: RememberFact) -> JSON:
    """Keeps the fact."""
    await context.facts.remember(" ".join(arguments.fact.split()), arguments.replaces)
    return {"remembered": True}


REMEMBER_FACT = builtin_tool(
    name="remember_fact",
    description="Keeps a lasting fact of the contact for later conversations. Never passwords, documents or cards.",
    arguments=RememberFact,
    effects="write",
    run=remember_fact,
)
