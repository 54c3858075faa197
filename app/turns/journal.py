"""The journal of tool calls: those with side effects, and reads among several calls of one answer.

The key is (conversation, turn, tool call id).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db import Transaction
from tools.ports import JSON


@dataclass(frozen=True)
class CallKey:
    """The identity of a tool call. It is durable before the tool runs."""

    tenant_id: UUID
    conversation_id: UUID
    turn: int
    tool_call_id: str

    @property
    def idempotency_key(self) -> str:
        """The key that remote systems receive with the call."""
        return f"{self.conversation_id}:{self.turn}:{self.tool_call_id}"


async def begin_call(tx: Transaction, key: CallKey, name: str, arguments: JSON, now: datetime) -> bool:
    """Write a call into the journal. Return False when it is already there.

    Waits for another transaction that writes the same key.
    """
    row = await tx.one(
        dict,
        """insert into tool_calls (conversation_id, turn, tool_call_id, tenant_id, name, arguments, called_at)
           values (%(conversation_id)s, %(turn)s, %(tool_call_id)s, %(tenant_id)s, %(name)s, %(arguments)s, %(now)s)
           on conflict do nothing returning 1 as new""",
        {**vars(key), "name": name, "arguments": Jsonb(arguments), "now": now},
    )
    return row is not None


async def write_result(tx: Transaction, key: CallKey, result: JSON) -> JSON:
    """Write the result of a call that is in the journal. Return the first result that was written for it.

    A worker that was taken for dead may write its result after the next attempt did, or before.
    """
    row = await tx.one(
        dict,
        """update tool_calls set result = coalesce(result, %(result)s)
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s
           returning result""",
        {**vars(key), "result": Jsonb(result)},
    )
    # The entry is gone if a worker that was taken for dead deleted it, because it had sent nothing.
    return row["result"] if row is not None else result


async def write_read(tx: Transaction, key: CallKey, name: str, arguments: JSON, result: JSON, now: datetime) -> None:
    """Write a read and its result into the journal."""
    await tx.run(
        """insert into tool_calls (
               conversation_id, turn, tool_call_id, tenant_id, name, arguments, result, called_at
           )
           values (
               %(conversation_id)s, %(turn)s, %(tool_call_id)s, %(tenant_id)s,
               %(name)s, %(arguments)s, %(result)s, %(now)s
           )
           on conflict do nothing""",
        {**vars(key), "name": name, "arguments": Jsonb(arguments), "result": Jsonb(result), "now": now},
    )


async def find_result(tx: Transaction, key: CallKey) -> JSON | None:
    """Return the result of a call, or None when it has not ended or is not in the journal."""
    row = await tx.one(
        dict,
        """select result from tool_calls
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s""",
        vars(key),
    )
    return row["result"] if row is not None else None


async def delete_call(tx: Transaction, key: CallKey) -> None:
    """Delete the entry of a call that was certainly not made, so that it may be made later."""
    await tx.run(
        """delete from tool_calls
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s
               and result is null""",
        vars(key),
    )
