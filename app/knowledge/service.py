"""Implement the tools' port for knowledge, which is stored with each version."""

from uuid import UUID

from app.db import Transaction
from app.knowledge import queries
from app.knowledge.word_forms import search_forms
from graphs.config import language_code
from manifest.knowledge import passages
from manifest.loader import CompiledAssistant, LoadedAssistant
from tools.ports import Passage


async def keep(tx: Transaction, tenant_id: UUID, loaded: LoadedAssistant) -> None:
    """Make a version's knowledge searchable. Repeating it changes nothing."""
    cut = passages(loaded.files, loaded.assistant.knowledge)
    if found := [(each, *search_forms(f"{each.heading}\n{each.text}", _language(loaded))) for each in cut]:
        await queries.add_passages(tx, tenant_id, loaded.content_hash, _language(loaded), found)


class VersionKnowledge:
    """The tools' knowledge port for one version, within one transaction."""

    def __init__(self, tx: Transaction, tenant_id: UUID, loaded: CompiledAssistant) -> None:
        self._tx = tx
        self._tenant_id = tenant_id
        self._loaded = loaded

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Return the best passages, best first."""
        loaded = self._loaded
        language = _language(loaded)
        forms = search_forms(query, language)
        return await queries.search(self._tx, self._tenant_id, loaded.content_hash, language, forms, limit)


def _language(loaded: CompiledAssistant | LoadedAssistant) -> str:
    return language_code(loaded.assistant.language)
