"""Tenants and their channels."""

import asyncio
import math
import time
from dataclasses import dataclass, field
from uuid import UUID

from app.channels.base import Credentials
from app.crypto import SecretBox
from app.db import Database
from app.errors import ConflictError, NotFoundError
from app.identity import queries
from app.identity.queries import TenantRow
from tools.lru import LruCache


@dataclass(frozen=True)
class Channel:
    """A tenant's number at a provider. The newest of `auth_tokens` is first; any of them may have signed a webhook.

    Nothing is sent through it while it is `suspended`. `refusals` counts the suspensions since its last message.
    """

    id: UUID
    tenant_id: UUID
    account_sid: str
    address: str
    auth_tokens: tuple[str, ...] = field(repr=False)
    suspended: bool = False
    refusals: int = 0

    @property
    def credentials(self) -> Credentials:
        """The credentials for the provider's API."""
        return Credentials(self.account_sid, self.auth_tokens[0])


class Channels:
    """Channels by address or id, cached for a while, because every webhook needs one."""

    REMEMBER = 30.0
    """Seconds for which a channel is used as it was read."""
    REMEMBER_UNKNOWN = 2.0
    """Seconds for which nobody asks again about an address without a channel."""
    MOST = 10_000
    """The maximum number of addresses in memory, and of channels."""

    def __init__(self, system: Database, box: SecretBox) -> None:
        self._system = system
        self._box = box
        self._by_address: LruCache[str, tuple[float, list[Channel]]] = LruCache(self.MOST)
        self._unknown: LruCache[str, float] = LruCache(self.MOST)
        self._by_id: LruCache[UUID, tuple[float, Channel]] = LruCache(self.MOST)
        # Anybody can ask about numbers that nobody has. They do not take the connection from known ones.
        self._first_look = asyncio.Semaphore(1)

    async def of_address(self, address: str, *, fresh: bool = False) -> list[Channel]:
        """Return the channels with an address, one for each account that claims it. `fresh` bypasses the cache."""
        known = self._by_address.get(address)
        if known is None:
            async with self._first_look:
                found = self._read_meanwhile(address)
                return await self._read(address) if found is None else found
        return known[1] if not fresh and self.age(address) < self.REMEMBER else await self._read(address)

    def _read_meanwhile(self, address: str) -> list[Channel] | None:
        """Return what another request has read a moment ago, or None."""
        known, unknown_since = self._by_address.get(address), self._unknown.get(address)
        if known is not None:
            return known[1]
        is_unknown = unknown_since is not None and time.monotonic() - unknown_since < self.REMEMBER_UNKNOWN
        return [] if is_unknown else None

    async def _read(self, address: str) -> list[Channel]:
        now = time.monotonic()
        async with self._system.statement() as tx:
            found = [self._open(row) for row in await queries.channels_of_address(tx, address)]
        if found:
            self._by_address.put(address, (now, found))
        else:
            self._unknown.put(address, now)
        return found

    def age(self, address: str) -> float:
        """Return the seconds since the address was read from Postgres."""
        known = self._by_address.get(address)
        return time.monotonic() - known[0] if known else math.inf

    async def by_id(self, channel_id: UUID, *, fresh: bool = False) -> Channel:
        """Return one channel. `fresh` bypasses the cache. Raises NotFoundError."""
        now = time.monotonic()
        known = self._by_id.get(channel_id)
        if known and not fresh and now - known[0] < self.REMEMBER:
            return known[1]
        async with self._system.statement() as tx:
            row = await queries.channel(tx, channel_id)
        if row is None:
            raise NotFoundError(f"there is no channel {channel_id}")
        channel = self._open(row)
        self._by_id.put(channel_id, (now, channel))
        return channel

    def _open(self, row: queries.ChannelRow) -> Channel:
        tokens = self._box.unseal(row.auth_tokens)
        return Channel(row.id, row.tenant_id, row.account_sid, row.address, tokens, row.suspended, row.refusals)


async def ensure_tenant(system: Database, slug: str, name: str) -> TenantRow:
    """Return the tenant of a slug. Creates it if it is new."""
    async with system.statement() as tx:
        return await queries.upsert_tenant(tx, slug, name)


async def create_tenant(system: Database, slug: str, name: str) -> bool:
    """Create a tenant. Return False if there is one of this slug."""
    async with system.transaction() as tx:
        if await queries.tenant_by_slug(tx, slug) is not None:
            return False
        await queries.upsert_tenant(tx, slug, name)
        return True


async def tenant(system: Database, slug: str) -> TenantRow:
    """Return the tenant of a slug. Raises NotFoundError."""
    async with system.statement() as tx:
        found = await queries.tenant_by_slug(tx, slug)
    if found is None:
        raise NotFoundError(
            f"there is no tenant {slug!r}: `recado tenants create {slug}` or `recado tenants publish` makes it"
        )
    return found


async def add_channel(system: Database, box: SecretBox, slug: str, credentials: Credentials, address: str) -> None:
    """Add a channel to a tenant, or replace its token. Raises NotFoundError, ConflictError."""
    owner = await tenant(system, slug)
    sealed = box.seal([credentials.auth_token])
    async with system.statement() as tx:
        added = await queries.upsert_channel(tx, owner.id, credentials.account_sid, address, sealed)
    if added is None:
        raise ConflictError(f"{address} of account {credentials.account_sid} belongs to another tenant")
