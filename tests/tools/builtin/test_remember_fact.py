"""remember_fact: what it stores."""

from dataclasses import dataclass, field

from tests.tools.fake_ports import run_locally
from tools.builtin.remember_fact import TOOL
from tools.ports import LocalPorts, Need


@dataclass
class FakeFacts:
    """Records the facts that are stored."""

    stored: list[tuple[str, str | None]] = field(default_factory=list)

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Record the fact."""
        self.stored.append((fact, replaces))


def test_it_writes_facts() -> None:
    assert (TOOL.effects, TOOL.needs) == ("write", frozenset({Need.FACTS}))


async def test_the_white_space_of_a_fact_is_collapsed() -> None:
    facts = FakeFacts()
    result = await run_locally(TOOL, LocalPorts(facts=facts), fact=" tem  um\nfilho ", replaces="não tem filhos")
    assert facts.stored == [("tem um filho", "não tem filhos")]
    assert result == {"remembered": True}
