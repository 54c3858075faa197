"""Published versions in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db import Transaction


@dataclass(frozen=True)
class VersionRow:
    """A published version, with its files."""

    id: int
    tenant_id: UUID
    content_hash: str
    files: Mapping[str, str]


async def version(tx: Transaction, version_id: int) -> VersionRow | None:
    """One version."""
    return await tx.one(
        VersionRow,
        "select id, tenant_id, content_hash, files from assistant_versions where id = %(id)s",
        {"id": version_id},
    )


async def current_version(tx: Transaction, tenant_id: UUID) -> VersionRow | None:
    """The version that new conversations of the tenant get."""
    return await tx.one(
        VersionRow,
        """select v.id, v.tenant_id, v.content_hash, v.files
           from assistants a join assistant_versions v on v.id = a.version_id where a.tenant_id = %(tenant_id)s""",
        {"tenant_id": tenant_id},
    )


async def publish(
    tx: Transaction,
    *,
    tenant_id: UUID,
    content_hash: str,
    files: Mapping[str, str],
    debounce: timedelta,
    debounce_cap: timedelta,
    now: datetime,
) -> int:
    """Makes these files the tenant's current version, as a new one if they never were published, and says its id."""
    row = await tx.one(
        dict,
        """with made as (
               insert into assistant_versions as v (
                   tenant_id, content_hash, files, debounce, debounce_cap, published_at
               )
               values (%(tenant_id)s, %(content_hash)s, %(files)s, %(debounce)s, %(debounce_cap)s, %(now)s)
               on conflict (tenant_id, content_hash) do update set content_hash = v.content_hash
               returning id
           )
           insert into assistants (tenant_id, version_id, updated_at)
           select %(tenant_id)s, id, %(now)s from made
           on conflict (tenant_id) do update set version_id = excluded.version_id, updated_at = excluded.updated_at
           returning version_id""",
        {
            "tenant_id": tenant_id,
            "content_hash": content_hash,
            "files": Jsonb(files),
            "debounce": debounce,
            "debounce_cap": debounce_cap,
            "now": now,
        },
    )
    assert row is not None
    return int(row["version_id"])


@dataclass(frozen=True)
class Published:
    """What a tenant has published. Null columns: nothing yet."""

    slug: str
    name: str
    content_hash: str | None
    published_at: datetime | None
    live: int


async def published(tx: Transaction) -> list[Published]:
    """Every tenant, its current version, and how many conversations are open."""
    return await tx.all(
        Published,
        """select t.slug, t.name, v.content_hash, v.published_at,
               (select count(*) from conversations c where c.tenant_id = t.id and c.status <> 'closed') as live
           from tenants t
           left join assistants a on a.tenant_id = t.id
           left join assistant_versions v on v.id = a.version_id
           order by t.slug""",
        {},
    )
