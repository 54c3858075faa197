"""search_knowledge: searches the knowledge files of the tenant."""

from pydantic import BaseModel, Field

from tools.base import builtin_tool
from tools.ports import JSON, Need, ToolContext

MAX_PASSAGES = 4


class SearchKnowledge(BaseModel):
    """The words to search for."""

    query: str = Field(description="The words to look for, in the language of the knowledge.", max_length=300)


async def search_knowledge(context: ToolContext, arguments: SearchKnowledge) -> JSON:
    """Return the passages that match best."""
    passages = await context.knowledge.search(arguments.query, MAX_PASSAGES)
    if not passages:
        return {"passages": [], "note": "nothing is written down about that: do not guess"}
    return {"passages": [{"source": each.source, "heading": each.heading, "text": each.text} for each in passages]}


TOOL = builtin_tool(
    name="search_knowledge",
    description="Looks up what is written down for answering contacts. Use it before answering about facts.",
    arguments=SearchKnowledge,
    effects="read",
    run=search_knowledge,
    needs=frozenset({Need.KNOWLEDGE}),
)
