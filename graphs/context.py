"""What a turn is given and never stores."""

from dataclasses import dataclass
from datetime import datetime

from graphs.llm_client import Models
from tools.ports import ToolRunner


@dataclass(frozen=True)
class Context:
    """One per turn. `contact_name` is whatever the contact calls itself: data, never instructions.

    `tags` are those that operators gave the contact; `first_turn`: the conversation has had none before. `facts` are
    what agents have learned of the contact: data, too. `over_limit`: which of the tenant's limits is reached, if any.
    """

    now: datetime
    contact_name: str | None
    models: Models
    tools: ToolRunner
    tags: frozenset[str] = frozenset()
    first_turn: bool = False
    facts: tuple[str, ...] = ()
    over_limit: str | None = None
