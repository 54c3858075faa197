"""SQL of the passages of tenants' knowledge."""

from collections.abc import Sequence
from uuid import UUID

from app.db import Transaction
from tools.ports import Passage

LANGUAGES = {
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
    "sv": "swedish",
}
"""Postgres's text search configuration for a language. Others use `simple`, which finds words as they are written."""


async def add_passages(
    tx: Transaction, tenant_id: UUID, content_hash: str, language: str, passages: Sequence[tuple[Passage, str, str]]
) -> None:
    """Store a version's passages with their two search texts. Existing passages are kept."""
    await tx.run(
        """insert into knowledge_passages (tenant_id, content_hash, position, path, heading, body, words)
           select %(tenant_id)s, %(content_hash)s, p.position, p.path, p.heading, p.body,
               to_tsvector(%(language)s::regconfig, p.one) || to_tsvector(%(language)s::regconfig, p.other)
           from unnest(
               %(paths)s::text[], %(headings)s::text[], %(bodies)s::text[], %(ones)s::text[], %(others)s::text[]
           ) with ordinality p (path, heading, body, one, other, position)
           on conflict do nothing""",
        {
            "tenant_id": tenant_id,
            "content_hash": content_hash,
            "language": LANGUAGES.get(language, "simple"),
            "paths": [passage.source for passage, _, _ in passages],
            "headings": [passage.heading for passage, _, _ in passages],
            "bodies": [passage.text for passage, _, _ in passages],
            "ones": [one for _, one, _ in passages],
            "others": [other for _, _, other in passages],
        },
    )


async def search(
    tx: Transaction, tenant_id: UUID, content_hash: str, language: str, forms: tuple[str, str], limit: int
) -> list[Passage]:
    """Return the version's passages with any of the words, those with the most hits for their length first."""
    return await tx.all(
        Passage,
        # The key finds the few hundred passages of a version, so there is no index on `words`. Row-level security would
        # not use one either, because `@@` is not leakproof.
        """with sought as (
               select replace(concat_ws(
                   '|',
                   nullif(plainto_tsquery(%(language)s::regconfig, %(one)s)::text, ''),
                   nullif(plainto_tsquery(%(language)s::regconfig, %(other)s)::text, '')
               ), '&', '|')::tsquery as query
           )
           select path as source, heading, body as text
           from knowledge_passages, sought
           where tenant_id = %(tenant_id)s and content_hash = %(content_hash)s and words @@ query
           order by ts_rank_cd(words, query, 1) desc, position limit %(limit)s""",
        {
            "tenant_id": tenant_id,
            "content_hash": content_hash,
            "language": LANGUAGES.get(language, "simple"),
            "one": forms[0],
            "other": forms[1],
            "limit": limit,
        },
    )
