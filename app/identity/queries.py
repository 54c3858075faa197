"""SQL of tenants and channels."""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from app.db import Transaction


@dataclass(frozen=True)
class TenantRow:
    """A tenant."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True)
class ChannelRow:
    """A channel with its encrypted tokens."""

    id: UUID
    tenant_id: UUID
    account_sid: str
    address: str
    auth_tokens: bytes
    suspended: bool
    refusals: int


CHANNEL: LiteralString = (
    "id, tenant_id, account_sid, address, auth_tokens, suspended_at is not null as suspended, refusals"
)


async def upsert_tenant(tx: Transaction, slug: str, name: str) -> TenantRow:
    """Create or rename the tenant of a slug, and return it."""
    row = await tx.one(
        TenantRow,
        """insert into tenants (slug, name) values (%(slug)s, %(name)s)
           on conflict (slug) do update set name = excluded.name returning id, slug, name""",
        {"slug": slug, "name": name},
    )
    assert row is not None
    return row


async def tenant_by_slug(tx: Transaction, slug: str) -> TenantRow | None:
    """Return the tenant of a slug."""
    return await tx.one(TenantRow, "select id, slug, name from tenants where slug = %(slug)s", {"slug": slug})


async def channels_of_address(tx: Transaction, address: str) -> list[ChannelRow]:
    """Return every channel with an address. Several accounts may claim one address."""
    return await tx.all(
        ChannelRow,
        f"select {CHANNEL} from channels where address = %(address)s",
        {"address": address},
    )


async def channel(tx: Transaction, channel_id: UUID) -> ChannelRow | None:
    """Return one channel by id."""
    return await tx.one(
        ChannelRow,
        f"select {CHANNEL} from channels where id = %(id)s",
        {"id": channel_id},
    )


async def upsert_channel(
    tx: Transaction, tenant_id: UUID, account_sid: str, address: str, auth_tokens: bytes
) -> UUID | None:
    """Add or update a channel, and return its id. A suspended channel is probed at once with its new token.

    None when the account's address belongs to another tenant.
    """
    row = await tx.one(
        dict,
        """insert into channels as c (tenant_id, account_sid, address, auth_tokens)
           values (%(tenant_id)s, %(account_sid)s, %(address)s, %(auth_tokens)s)
           on conflict (account_sid, address) do update set auth_tokens = excluded.auth_tokens,
               check_at = coalesce(c.suspended_at, c.check_at)
           where c.tenant_id = excluded.tenant_id
           returning c.id""",
        {"tenant_id": tenant_id, "account_sid": account_sid, "address": address, "auth_tokens": auth_tokens},
    )
    return None if row is None else row["id"]


async def channel_address(tx: Transaction, channel_id: UUID) -> str:
    """Return a channel's address."""
    row = await tx.one(dict, "select address from channels where id = %(id)s", {"id": channel_id})
    assert row is not None, "channels are never deleted"
    return str(row["address"])


async def own_addresses(tx: Transaction, tenant_id: UUID) -> list[str]:
    """Return the addresses of the tenant's channels."""
    rows = await tx.all(
        dict, "select address from channels where tenant_id = %(tenant_id)s order by address", {"tenant_id": tenant_id}
    )
    return [str(row["address"]) for row in rows]


async def list_channels(tx: Transaction) -> list[dict[str, object]]:
    """Return every channel with its tenant's slug and its suspension, without tokens."""
    return await tx.all(
        dict,
        """select t.slug, c.address, c.account_sid, c.suspended_at, c.suspended_for
           from channels c join tenants t on t.id = c.tenant_id
           order by t.slug, c.address""",
        {},
    )
