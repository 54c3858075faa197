"""SQL of published versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db import Transaction


@dataclass(frozen=True)
class VersionRow:
    """A published version with its files."""

    id: int
    tenant_id: UUID
    content_hash: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class FormRow:
    """The stored form of a version as JSON, or None if there is none."""

    content_hash: str
    form: str | None


async def form(tx: Transaction, version_id: int) -> FormRow | None:
    """Return the stored form of one version."""
    return await tx.one(
        FormRow,
        "select content_hash, form from assistant_versions where id = %(id)s",
        {"id": version_id},
    )


async def keep_form(tx: Transaction, version_id: int, text: str) -> None:
    """Store the form of a version."""
    await tx.run("update assistant_versions set form = %(form)s where id = %(id)s", {"id": version_id, "form": text})


async def version(tx: Transaction, version_id: int) -> VersionRow | None:
    """Return one version."""
    return await tx.one(
        VersionRow,
        "select id, tenant_id, content_hash, files from assistant_versions where id = %(id)s",
        {"id": version_id},
    )


async def current_version_id(tx: Transaction, tenant_id: UUID) -> int | None:
    """Return the id of the version that new conversations of the tenant get."""
    row = await tx.one(
        dict, "select version_id from assistants where tenant_id = %(tenant_id)s", {"tenant_id": tenant_id}
    )
    return None if row is None else int(row["version_id"])


async def current_version(tx: Transaction, tenant_id: UUID) -> VersionRow | None:
    """Return the version that new conversations of the tenant get."""
    return await tx.one(
        VersionRow,
        """select v.id, v.tenant_id, v.content_hash, v.files
           from assistants a join assistant_versions v on v.id = a.version_id where a.tenant_id = %(tenant_id)s""",
        {"tenant_id": tenant_id},
    )


async def add_version(
    tx: Transaction,
    *,
    tenant_id: UUID,
    content_hash: str,
    files: Mapping[str, str],
    form: str | None,
    debounce: timedelta,
    debounce_cap: timedelta,
    now: datetime,
) -> int:
    """Return the id of the tenant's version with these files. It is stored if it is new. Its form is stored anew."""
    row = await tx.one(
        dict,
        """insert into assistant_versions as v (
               tenant_id, content_hash, files, form, debounce, debounce_cap, published_at
           )
           values (
               %(tenant_id)s, %(content_hash)s, %(files)s, %(form)s, %(debounce)s, %(debounce_cap)s,
               %(now)s
           )
           on conflict (tenant_id, content_hash) do update set form = excluded.form
           returning id""",
        {
            "tenant_id": tenant_id,
            "content_hash": content_hash,
            "files": Jsonb(files),
            "form": form,
            "debounce": debounce,
            "debounce_cap": debounce_cap,
            "now": now,
        },
    )
    assert row is not None
    return int(row["id"])


@dataclass(frozen=True)
class Publication:
    """An act of making a version current. `before_id` is the publication that a rollback returns to."""

    id: int
    version_id: int
    before_id: int | None
    content_hash: str


PUBLICATION: LiteralString = """
    select p.id, p.version_id, p.before_id, v.content_hash
    from assistant_publications p join assistant_versions v on v.id = p.version_id
"""


async def newest_publication(tx: Transaction, tenant_id: UUID, version_id: int | None = None) -> Publication | None:
    """Return the tenant's newest publication, or the newest one of a given version."""
    return await tx.one(
        Publication,
        PUBLICATION
        + """ where p.tenant_id = %(tenant_id)s
            and (%(version_id)s::bigint is null or p.version_id = %(version_id)s) order by p.id desc limit 1""",
        {"tenant_id": tenant_id, "version_id": version_id},
    )


async def publication(tx: Transaction, publication_id: int) -> Publication | None:
    """Return one publication."""
    return await tx.one(Publication, PUBLICATION + " where p.id = %(id)s", {"id": publication_id})


async def lock(tx: Transaction, tenant_id: UUID) -> None:
    """Lock the tenant's publications until the transaction ends."""
    await tx.run("select from tenants where id = %(tenant_id)s for no key update", {"tenant_id": tenant_id})


async def make_current(
    tx: Transaction, *, tenant_id: UUID, version_id: int, before_id: int | None, now: datetime
) -> None:
    """Make a version the one that new conversations get, and record when."""
    await tx.run(
        """with made as (
               insert into assistants (tenant_id, version_id, updated_at)
               values (%(tenant_id)s, %(version_id)s, %(now)s)
               on conflict (tenant_id) do update set version_id = excluded.version_id, updated_at = excluded.updated_at
           )
           insert into assistant_publications (tenant_id, version_id, before_id, published_at)
           values (%(tenant_id)s, %(version_id)s, %(before_id)s, %(now)s)""",
        {"tenant_id": tenant_id, "version_id": version_id, "before_id": before_id, "now": now},
    )


async def versions_like(tx: Transaction, tenant_id: UUID, prefix: str) -> list[VersionRow]:
    """Return up to two of the tenant's versions whose hash begins with `prefix`, which is hexadecimal."""
    return await tx.all(
        VersionRow,
        """select id, tenant_id, content_hash, files from assistant_versions
           where tenant_id = %(tenant_id)s and starts_with(content_hash, %(prefix)s) order by id limit 2""",
        {"tenant_id": tenant_id, "prefix": prefix},
    )


async def secret_names(tx: Transaction, tenant_id: UUID) -> set[str]:
    """Return the names of the tenant's secrets."""
    rows = await tx.all(
        dict, "select name from tenant_secrets where tenant_id = %(tenant_id)s", {"tenant_id": tenant_id}
    )
    return {row["name"] for row in rows}


@dataclass(frozen=True)
class Version:
    """A version in the tenant's list, with the time it was last made current, and its open conversations."""

    id: int
    content_hash: str
    published_at: datetime
    current_at: datetime
    current: bool
    live: int


async def versions(tx: Transaction, tenant_id: UUID) -> list[Version]:
    """Return every version of the tenant, the one that was made current last first."""
    return await tx.all(
        Version,
        """select v.id, v.content_hash, v.published_at, p.at as current_at,
               v.id = (select version_id from assistants where tenant_id = %(tenant_id)s) as current,
               (
                   select count(*) from conversations c
                   where c.tenant_id = %(tenant_id)s and c.version_id = v.id and c.status <> 'closed'
               ) as live
           from assistant_versions v
           join (
               select version_id, max(id) as id, max(published_at) as at from assistant_publications
               where tenant_id = %(tenant_id)s group by 1
           ) p on p.version_id = v.id
           where v.tenant_id = %(tenant_id)s
           order by p.id desc""",
        {"tenant_id": tenant_id},
    )


@dataclass(frozen=True)
class LiveRow:
    """A group of open conversations with the same version, status and agent.

    `version_id` is None when they were opened before the tenant published one. `agent` is in charge; `routed` is
    the target of the last turn.
    """

    version_id: int | None
    content_hash: str | None
    status: str
    agent: str | None
    routed: str | None
    conversations: int


async def live(tx: Transaction, tenant_id: UUID) -> list[LiveRow]:
    """Return the tenant's open conversations in groups, newest version first."""
    return await tx.all(
        LiveRow,
        """select c.version_id, v.content_hash, c.status, charged.agent, sent.routed, count(*) as conversations
           from conversations c
           left join assistant_versions v on v.id = c.version_id
           left join lateral (
               select agent from turns
               where conversation_id = c.id and agent is not null order by turn desc limit 1
           ) charged on true
           left join lateral (
               select route ->> 'to' as routed from turns
               where conversation_id = c.id and route ->> 'why' <> 'idle' order by turn desc limit 1
           ) sent on true
           where c.tenant_id = %(tenant_id)s and c.status <> 'closed'
           group by 1, 2, 3, 4, 5
           order by c.version_id desc nulls last, array_position(array['bot', 'waiting', 'human'], c.status),
               charged.agent, sent.routed""",
        {"tenant_id": tenant_id},
    )


@dataclass(frozen=True)
class Published:
    """A tenant's current version. Its columns are null while nothing is published."""

    slug: str
    name: str
    content_hash: str | None
    published_at: datetime | None
    live: int


async def published(tx: Transaction) -> list[Published]:
    """Return every tenant with its current version and its number of open conversations."""
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
