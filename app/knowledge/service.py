"""Implement the tools' port for knowledge, which is stored with each version."""

import re
from uuid import UUID

from app.db import Transaction
from app.knowledge import queries
from graphs.config import language_code
from graphs.patterns import plain
from manifest.knowledge import passages
from manifest.loader import CompiledAssistant, LoadedAssistant
from tools.ports import Passage


async def keep(tx: Transaction, tenant_id: UUID, loaded: LoadedAssistant) -> None:
    """Make a version's knowledge searchable. Repeating it changes nothing."""
    cut = passages(loaded.files, loaded.assistant.knowledge)
    if found := [(each, *_forms(f"{each.heading}\n{each.text}", _language(loaded))) for each in cut]:
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
        forms = _forms(query, language)
        return await queries.search(self._tx, self._tenant_id, loaded.content_hash, language, forms, limit)


def _forms(text: str, language: str) -> tuple[str, str]:
    """Return the text with accents, which Postgres needs for word forms, and without, as people type on phones."""
    text = text.casefold()
    if language == "pt":
        # Those that Postgres takes for other words: cartão, cartões; pão, pães.
        text = re.sub(r"(?:ões|ães|oes|aes)\b", "ão", text)
    return text, plain(text)


def _language(loaded: CompiledAssistant | LoadedAssistant) -> str:
    return language_code(loaded.assistant.language)
