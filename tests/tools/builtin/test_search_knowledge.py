"""search_knowledge: what the model reads."""

from dataclasses import dataclass, field

from tests.tools.fake_ports import run_locally
from tools.builtin.search_knowledge import MAX_PASSAGES, TOOL
from tools.ports import LocalPorts, Need, Passage


@dataclass
class FakeKnowledge:
    """Returns the same passages for each search."""

    passages: list[Passage]
    searches: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Return the passages."""
        self.searches.append((query, limit))
        return self.passages


def test_it_reads_knowledge() -> None:
    assert (TOOL.effects, TOOL.needs) == ("read", frozenset({Need.KNOWLEDGE}))


async def test_a_passage_names_its_file_and_heading() -> None:
    knowledge = FakeKnowledge([Passage("precos.md", "Preços", "Limpeza: R$ 200")])
    assert await run_locally(TOOL, LocalPorts(knowledge=knowledge), query="limpeza") == {
        "passages": [{"source": "precos.md", "heading": "Preços", "text": "Limpeza: R$ 200"}]
    }
    assert knowledge.searches == [("limpeza", MAX_PASSAGES)]


async def test_a_search_without_matches_tells_the_model_not_to_guess() -> None:
    result = await run_locally(TOOL, LocalPorts(knowledge=FakeKnowledge([])), query="lua")
    assert result["passages"] == []
    assert "do not guess" in result["note"]
