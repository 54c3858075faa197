"""What is known of a contact, from conversation to conversation."""

from uuid import UUID

from app.db import Transaction

MOST_FACTS = 20
"""Of one contact; the oldest go first."""


class ContactFacts:
    """Fulfils the tools' port for one contact, within one transaction."""

    def __init__(self, tx: Transaction, contact_id: UUID) -> None:
        self._tx = tx
        self._contact_id = contact_id

    async def remember(self, fact: str, replaces: str | None) -> None:
        """Keeps a fact. A contact of another number of the tenant is another one."""
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
