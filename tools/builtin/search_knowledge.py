"""Lets an agent look up what its tenant has written down."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, ToolContext

PASSAGES = 4
"""That one search returns: the best ones."""


class SearchKnowledge(BaseModel):
    """What to look for."""

    query: str = Field(description="The words to look for, in the language of the knowledge.", max_length=300)


async def search_knowledge(context: ToolContext, arguments: SearchKnowledge) -> JSON:
    """The passages that fit best."""
    found = await context.knowledge.search(arguments.query, PASSAGES)
    if not found:
        return {"passages": [], "note": "nothing is written down about that: do not guess"}
    return {"passages": [{"source": each.source, "heading": each.heading, "text": each.text} for each in found]}


SEARCH_KNOWLEDGE = builtin_tool(
    name="search_knowledge",
    description="Looks up what is written down for answering contacts. Use it before answering about facts.",
    arguments=SearchKnowledge,
    effects="read",
    run=search_knowledge,
)
