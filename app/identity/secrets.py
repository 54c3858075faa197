"""The secrets that tenants' tools send to other systems. Encrypted at rest, decrypted for one call."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.crypto import SecretBox
from app.db import Database, Transaction
from app.errors import NotFoundError
from app.identity import service as identity


@dataclass(frozen=True)
class SecretRow:
    """A secret and its encrypted value."""

    name: str
    sealed: bytes
    updated_at: datetime


class Secrets:
    """Decrypts secrets for tool calls."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def of(self, tenant_id: UUID, names: Collection[str]) -> Mapping[str, str]:
        """Return the tenant's secrets with these names. Names that are not set are left out."""
        if not names:
            return {}
        async with self._db.statement(tenant_id) as tx:
            rows = await _rows(tx, tenant_id)
        return {row.name: self._box.unseal(row.sealed)[0] for row in rows if row.name in names}


async def keep(
    system: Database, box: SecretBox, slug: str, name: str, value: str, clock: Callable[[], datetime]
) -> None:
    """Set or replace a secret. The next call of a tool uses it. Raises NotFoundError."""
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        await tx.run(
            """insert into tenant_secrets (tenant_id, name, sealed, updated_at)
               values (%(tenant_id)s, %(name)s, %(sealed)s, %(now)s)
               on conflict (tenant_id, name) do update
                   set sealed = excluded.sealed, updated_at = excluded.updated_at""",
            {"tenant_id": tenant.id, "name": name, "sealed": box.seal([value]), "now": clock()},
        )


async def forget(system: Database, slug: str, name: str) -> None:
    """Remove a secret. Raises NotFoundError."""
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        gone = await tx.one(
            dict,
            "delete from tenant_secrets where tenant_id = %(tenant_id)s and name = %(name)s returning name",
            {"tenant_id": tenant.id, "name": name},
        )
    if gone is None:
        raise NotFoundError(f"{slug} has no secret {name}: `recado secrets list --tenant {slug}` shows those it has")


async def known(system: Database, slug: str) -> list[SecretRow]:
    """Return the tenant's secrets, by name. Raises NotFoundError."""
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        return await _rows(tx, tenant.id)


async def _rows(tx: Transaction, tenant_id: UUID) -> list[SecretRow]:
    return await tx.all(
        SecretRow,
        "select name, sealed, updated_at from tenant_secrets where tenant_id = %(tenant_id)s order by name",
        {"tenant_id": tenant_id},
    )
