"""Implement the tools' port for facts about a contact."""

from uuid import UUID

from app.db import Transaction

MOST_FACTS = 20
"""The number of facts that are kept of a contact. The oldest are dropped."""


class ContactFacts:
    """The tools' facts port for one contact, within one transaction."""

    def __init__(self, tx: Transaction, contact_id: UUID) -> None:
        self._tx = tx
        self._contact_id = contact_id

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Keep a fact about the contact, for this number of the tenant."""
        await self._tx.run(
            """update contacts set facts = (
                   select known[greatest(1, cardinality(known) - %(most)s + 1):]
                   from (
                       select array_remove(array_remove(contacts.facts, %(replaces)s), %(fact)s) || %(fact)s::text
                   ) kept (known)
               )
               where id = %(contact_id)s""",
            {"contact_id": self._contact_id, "fact": fact, "replaces": replaces, "most": MOST_FACTS},
        )
