"""The context that is injected for one turn and never stored."""

from dataclasses import dataclass
from datetime import datetime

from graphs.llm_client import Models
from tools.ports import ToolRunner


@dataclass(frozen=True)
class Context:
    """The context of one turn. `contact_name` and `facts` are untrusted data, never instructions.

    `tags` are set by operators. `first_turn` says that the conversation had no turn before. `over_limit` is the
    tenant's limit that is reached, in words.
    """

    now: datetime
    contact_name: str | None
    models: Models
    tools: ToolRunner
    tags: frozenset[str] = frozenset()
    first_turn: bool = False
    facts: tuple[str, ...] = ()
    over_limit: str | None = None
