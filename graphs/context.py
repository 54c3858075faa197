"""The context that is injected for one turn and never stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from graphs.llm_client import Models, Record, no_record, priced
from graphs.sections import Price
from tools.ports import ToolRunner


@dataclass(frozen=True)
class Context:
    """The context of one turn. `contact_name` and `facts` are untrusted data, never instructions.

    `tags` are set by operators. `first_turn` says that the conversation had no turn before. `over_limit` is the
    tenant's limit that is reached, in words. `on_model_call` is told of every call that was answered, whatever becomes
    of the answer.
    """

    now: datetime
    contact_name: str | None
    models: Models
    tools: ToolRunner
    tags: frozenset[str] = frozenset()
    first_turn: bool = False
    facts: tuple[str, ...] = ()
    over_limit: str | None = None
    on_model_call: Record = no_record

    def recorder(self, prices: Mapping[str, Price], agent: str | None) -> Record:
        """Return a function that records a call of an agent, or of the router, with its cost."""
        return lambda usage: self.on_model_call(priced(usage, prices, agent))
