"""The texts of earlier messages that a contact has quoted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.db import Transaction


@dataclass(frozen=True)
class _Quoted:
    sid: str
    body: str


async def quoted_texts(
    tx: Transaction, conversation_id: UUID, contact_id: UUID, sids: Sequence[str]
) -> Mapping[str, str]:
    """Return the texts of messages by sid: ours to the contact, and those of the account's contacts."""
    if not sids:
        return {}
    found = await tx.all(
        _Quoted,
        """select provider_sid as sid, body from outbox
           where provider_sid = any(%(sids)s) and contact_id = %(contact_id)s
           union all
           select provider_sid, body from inbox
           where provider_sid = any(%(sids)s) and account_sid = (
               select account_sid from inbox where conversation_id = %(conversation_id)s and kind = 'message' limit 1
           )""",
        {"sids": list(sids), "conversation_id": conversation_id, "contact_id": contact_id},
    )
    return {quoted.sid: quoted.body for quoted in found if quoted.body.strip()}
