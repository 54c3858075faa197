"""The context that is injected for one turn and never stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graphs.llm_client import Models, Record, no_record, priced
from graphs.sections import Price
from tools.ports import ToolRunner

Functions = Mapping[str, Callable[..., Any]]
"""The functions behind a graph's nodes and edges, by name."""


@dataclass(frozen=True)
class Context:
    """The context of one turn. `contact_name` and `facts` are untrusted data, never instructions.

    `tags` are set by operators. `first_turn` says that the conversation had no turn before. `over_limit` is the
    tenant's limit that is reached, in words. `on_model_call` is told of every call that was answered, whatever becomes
    of the answer. `functions` are the assistant's, for a graph that assistants share.
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
    functions: Functions = field(default_factory=dict)

    def recorder(self, prices: Mapping[str, Price], agent: str | None) -> Record:
        """Return a function that records a call of an agent, or of the router, with its cost."""
        return lambda usage: self.on_model_call(priced(usage, prices, agent))
