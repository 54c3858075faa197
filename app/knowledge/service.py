"""What a tenant has written down for its agents: kept with each version, and searched."""

from uuid import UUID

from app.db import Transaction
from app.knowledge import queries
from graphs.config import plain
from tenants.knowledge import passages
from tenants.loader import Loaded
from tools.context import Found


async def keep(tx: Transaction, tenant_id: UUID, loaded: Loaded) -> None:
    """Makes a version's knowledge searchable. Done again it changes nothing."""
    # People write without accents on phones: neither side has any.
    found = [
        (each, plain(f"{each.heading}\n{each.body}")) for each in passages(loaded.files, loaded.assistant.knowledge)
    ]
    if found:
        await queries.add_passages(tx, tenant_id, loaded.content_hash, _language(loaded), found)


class VersionKnowledge:
    """Fulfils the tools' port for one version of a tenant, within one transaction."""

    def __init__(self, tx: Transaction, tenant_id: UUID, loaded: Loaded) -> None:
        self._tx = tx
        self._tenant_id = tenant_id
        self._loaded = loaded

    async def search(self, query: str, limit: int) -> list[Found]:
        """The passages that fit best, best first."""
        loaded = self._loaded
        return await queries.search(
            self._tx, self._tenant_id, loaded.content_hash, _language(loaded), plain(query), limit
        )


def _language(loaded: Loaded) -> str:
    return loaded.assistant.language.partition("-")[0]
