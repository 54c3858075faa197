"""The usage ledger: one row for each model call of every attempt, also of those that end without a turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db import Transaction
from graphs.state import Usage

COPIED = 0
"""The epoch of calls that were first listed in JSON, by code without the ledger. Epochs of claims begin at 1."""


@dataclass
class UsageLog:
    """The model calls of one attempt, until a statement has written them into the ledger.

    A call is named by the conversation, the turn, the epoch of the claim, and its number. So a statement whose answer
    was lost can be repeated. `folded` are the calls of earlier attempts that code without the ledger has listed.
    """

    tenant_id: UUID
    conversation_id: UUID
    turn: int
    epoch: int
    folded: Sequence[Usage] = ()
    _calls: list[Mapping[str, Any]] = field(init=False, default_factory=list)
    _made: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Add the folded calls."""
        self._calls = [_call(usage, COPIED, number) for number, usage in enumerate(self.folded, 1)]

    def add(self, usage: Usage) -> None:
        """Add a call that this attempt has made."""
        self._made += 1
        self._calls.append(_call(usage, self.epoch, self._made))

    @property
    def unwritten(self) -> int:
        """The number of calls that no statement has written."""
        return len(self._calls)

    def parameters(self, now: datetime) -> dict[str, Any]:
        """Return the parameters of INSERT_USAGE."""
        return {
            "tenant_id": self.tenant_id,
            "conversation_id": self.conversation_id,
            "usage_turn": self.turn,
            "usage_calls": Jsonb(self._calls),
            "now": now,
        }

    def mark_written(self) -> None:
        """Forget the calls after a statement that has written them. No call may be made during the statement."""
        self._calls.clear()


def _call(usage: Usage, epoch: int, number: int) -> Mapping[str, Any]:
    amount, _, currency = (usage.get("cost") or "").partition(" ")
    return {
        "epoch": epoch,
        "number": number,
        "agent": usage.get("agent"),
        "model": usage["model"],
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cost": amount or None,
        "currency": currency or None,
    }


# Part of each statement that ends an attempt or a leg. It does not depend on the fence: the calls were made.
INSERT_USAGE: LiteralString = """
insert into usage_ledger (
    conversation_id, turn, epoch, number, tenant_id, agent, model, input_tokens, output_tokens, cost, currency,
    recorded_at
)
select %(conversation_id)s, %(usage_turn)s, c.epoch, c.number, %(tenant_id)s, c.agent, c.model, c.input_tokens,
    c.output_tokens, c.cost, c.currency, %(now)s
from jsonb_to_recordset(%(usage_calls)s) as c (
    epoch bigint, number integer, agent text, model text, input_tokens bigint, output_tokens bigint, cost numeric,
    currency text
)
on conflict do nothing
"""


async def write_usage(tx: Transaction, log: UsageLog, now: datetime) -> None:
    """Write the calls of an attempt whose end could not be written."""
    await tx.run(INSERT_USAGE, log.parameters(now))
    log.mark_written()
