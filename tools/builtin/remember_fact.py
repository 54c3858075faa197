"""remember_fact: stores a fact about the contact for later conversations."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, Need, ToolContext


class RememberFact(BaseModel):
    """The fact to store, and the fact that it replaces."""

    fact: str = Field(
        description="One fact of the contact that will matter in later conversations, in a short sentence.",
        min_length=2,
        max_length=200,
    )
    replaces: str | None = Field(
        default=None, description="The known fact, word for word, that is no longer true.", max_length=200
    )


async def remember_fact(context: ToolContext, arguments: RememberFact) -> JSON:
    """Store the fact, with its white space collapsed."""
    await context.facts.remember(" ".join(arguments.fact.split()), arguments.replaces)
    return {"remembered": True}


TOOL = builtin_tool(
    name="remember_fact",
    description="Keeps a lasting fact of the contact for later conversations. Never passwords, documents or cards.",
    arguments=RememberFact,
    effects="write",
    run=remember_fact,
    needs=frozenset({Need.FACTS}),
)
