"""Published versions: making one current, and loading the one that a conversation opened with."""

import asyncio
from collections import OrderedDict
from datetime import timedelta
from uuid import UUID

from app.assistants import queries
from app.clock import Clock
from app.db import Database
from app.errors import NotFoundError
from app.identity import service as identity
from tenants import loader
from tenants.loader import Loaded


class Assistants:
    """Versions by id, remembered for good: they never change. Many who ask for one at once wait for one load."""

    REMEMBERED = 500

    def __init__(self, db: Database) -> None:
        self._db = db
        self._versions: OrderedDict[tuple[UUID, int], asyncio.Task[Loaded]] = OrderedDict()

    async def version(self, tenant_id: UUID, version_id: int) -> Loaded:
        """One version of the tenant's assistant. Raises NotFoundError, InvalidAssistant."""
        key = (tenant_id, version_id)
        loading = self._versions.get(key)
        if loading is None or (loading.done() and (loading.cancelled() or loading.exception())):
            loading = asyncio.create_task(self._read(tenant_id, version_id))
            self._versions[key] = loading
            if len(self._versions) > self.REMEMBERED:
                self._versions.popitem(last=False)
        self._versions.move_to_end(key)
        # One who gives up waiting does not take the load from the others.
        return await asyncio.shield(loading)

    async def current(self, tenant_id: UUID) -> Loaded:
        """The version that new conversations of the tenant get. Raises NotFoundError, InvalidAssistant."""
        return await current(self._db, tenant_id)

    async def _read(self, tenant_id: UUID, version_id: int) -> Loaded:
        async with self._db.statement(tenant_id) as tx:
            row = await queries.version(tx, version_id)
        if row is None:
            raise NotFoundError(f"there is no version {version_id} of this tenant's assistant")
        return await _load(row)


async def _load(row: queries.VersionRow) -> Loaded:
    # Parsing takes tens of milliseconds, and reads time zones from files: not in the loop that runs the turns.
    return await asyncio.to_thread(loader.load, row.files)


async def publish(system: Database, slug: str, loaded: Loaded, clock: Clock) -> None:
    """Makes an assistant the tenant's current version. The tenant is made if it is new.

    New conversations get it at once; open ones keep the version they opened with.
    """
    tenant = await identity.ensure_tenant(system, slug, loaded.assistant.name)
    lifecycle = loaded.assistant.lifecycle
    async with system.statement() as tx:
        await queries.publish(
            tx,
            tenant_id=tenant.id,
            content_hash=loaded.content_hash,
            files=loaded.files,
            debounce=timedelta(seconds=lifecycle.debounce),
            debounce_cap=timedelta(seconds=lifecycle.debounce_cap),
            now=clock(),
        )


async def current(db: Database, tenant_id: UUID) -> Loaded:
    """The version that new conversations of the tenant get. Raises NotFoundError, InvalidAssistant."""
    async with db.statement(tenant_id) as tx:
        row = await queries.current_version(tx, tenant_id)
    if row is None:
        raise NotFoundError("this tenant has published nothing yet: `recado tenants publish FOLDER` does")
    return await _load(row)


async def published(system: Database) -> list[queries.Published]:
    """Every tenant and what it has published."""
    async with system.statement() as tx:
        return await queries.published(tx)
