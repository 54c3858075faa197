"""Publish versions, roll back, and load the version of a conversation."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import attrgetter
from uuid import UUID

from app.assistants import queries
from app.assistants.required_secrets import require_secrets
from app.clock import Clock
from app.db import Database, Transaction
from app.errors import ConflictError, NotFoundError, RecadoError
from app.identity import queries as identity_queries
from app.identity import service as identity
from app.identity.queries import TenantRow
from app.knowledge import service as knowledge
from manifest import loader
from manifest.loader import CompiledAssistant, InvalidFiles, LoadedAssistant, load_form
from tools.lru import LruCache
from tools.single_flight import SingleFlight

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SHORT = 12
"""The number of characters of a version's hash that are shown."""


VERSIONS_MEMORY = 256 * 1024 * 1024
"""The bound of the versions that a worker keeps, in estimated bytes: some thousand tenants."""

LOADS_AT_ONCE = 4
"""Loads of versions at once, so that they leave most of the pool's connections to turns."""

NOTHING_PUBLISHED = "this tenant has published nothing yet: `recado tenants publish FOLDER` does"


class Assistants:
    """A cache of versions by id. Versions never change. Concurrent requests for one version share one load."""

    def __init__(self, db: Database, *, memory: int = VERSIONS_MEMORY) -> None:
        self._db = db
        # By tenant too: who is not shown a version by Postgres is not shown it from here.
        self._versions: LruCache[tuple[UUID, int], CompiledAssistant] = LruCache(memory, weigh=attrgetter("memory"))
        self._loading: SingleFlight[tuple[UUID, int], CompiledAssistant] = SingleFlight()
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)

    async def version(self, tenant_id: UUID, version_id: int) -> CompiledAssistant:
        """Return a version of the tenant's assistant. Raises NotFoundError, InvalidFiles."""
        key = (tenant_id, version_id)
        found = self._versions.get(key)
        return found or await self._loading.run(key, lambda: self._load(*key))

    async def current(self, tenant_id: UUID) -> CompiledAssistant:
        """Return the version that new conversations of the tenant get. Raises NotFoundError, InvalidFiles."""
        async with self._db.statement(tenant_id) as tx:
            version_id = await queries.current_version_id(tx, tenant_id)
        if version_id is None:
            raise NotFoundError(NOTHING_PUBLISHED)
        return await self.version(tenant_id, version_id)

    async def _load(self, tenant_id: UUID, version_id: int) -> CompiledAssistant:
        async with self._loads:
            found = await self._load_form(tenant_id, version_id) or await self._load_files(tenant_id, version_id)
        self._versions.put((tenant_id, version_id), found)
        return found

    async def _load_form(self, tenant_id: UUID, version_id: int) -> CompiledAssistant | None:
        """Load a version from its form. Return None if it has none that can be used. Raises NotFoundError."""
        async with self._db.statement(tenant_id) as tx:
            row = await queries.form(tx, version_id)
        if row is None:
            raise NotFoundError(f"there is no version {version_id} of this tenant's assistant")
        if row.form is None:
            return None
        return await _in_thread(_FORMS, load_form, row.form, row.content_hash)

    async def _load_files(self, tenant_id: UUID, version_id: int) -> CompiledAssistant:
        async with self._db.statement(tenant_id) as tx:
            row = await queries.version(tx, version_id)
        assert row is not None, "versions are never deleted"
        loaded = await load(row)
        text = loaded.form_text
        if text is not None:
            async with self._db.statement(tenant_id) as tx:
                await queries.keep_form(tx, version_id, text)
        return loaded.compiled


# Reading files takes up to a hundred milliseconds, so that forms do not wait for it.
_FORMS = ThreadPoolExecutor(1, "forms")
_FILES = ThreadPoolExecutor(1, "files")


async def _in_thread[**P, T](
    thread: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, partial(function, *args, **kwargs))


async def load(row: queries.VersionRow) -> LoadedAssistant:
    """Load the assistant of a stored version. Raises InvalidFiles."""
    # Parsing takes tens of milliseconds, and reads time zones from files: not in the loop that runs the turns.
    return await _in_thread(_FILES, loader.load, row.files)


def require_slug(slug: str) -> None:
    """Raise RecadoError when the slug is invalid."""
    if not SLUG.fullmatch(slug):
        raise RecadoError(
            f"{slug!r} cannot be a tenant's name: rename the folder to small letters without accents, digits and "
            "single hyphens, such as minha-clinica"
        )


async def publish(system: Database, slug: str, loaded: LoadedAssistant, clock: Clock) -> bool:
    """Make an assistant the tenant's current version. Return whether it was not. Creates the tenant if it is new.

    New conversations get it at once; open ones keep their version. Publishing the current version again changes
    nothing. Raises RecadoError for an invalid slug, and ConflictError when a tool's secret is not set.
    """
    require_slug(slug)
    lifecycle = loaded.assistant.lifecycle
    # Kept even if the publish is refused: secrets are set for a tenant that exists.
    await identity.create_tenant(system, slug, loaded.assistant.name)
    async with system.transaction() as tx:
        # This locks the tenant's row: those who publish at the same time come one after another.
        tenant = await identity_queries.upsert_tenant(tx, slug, loaded.assistant.name)
        await require_secrets(tx, tenant, loaded)
        now = clock()
        version_id = await queries.add_version(
            tx,
            tenant_id=tenant.id,
            content_hash=loaded.content_hash,
            files=loaded.files,
            form=loaded.form_text,
            debounce=timedelta(seconds=lifecycle.debounce),
            debounce_cap=timedelta(seconds=lifecycle.debounce_cap),
            now=now,
        )
        await knowledge.keep(tx, tenant.id, loaded)
        newest = await queries.newest_publication(tx, tenant.id)
        if newest is not None and newest.version_id == version_id:
            return False
        before_id = newest.id if newest else None
        await queries.make_current(tx, tenant_id=tenant.id, version_id=version_id, before_id=before_id, now=now)
        return True


@dataclass(frozen=True)
class RolledBack:
    """The hashes of the version that was current, and of the one that is now."""

    old: str
    new: str


async def rollback(system: Database, slug: str, clock: Clock, version: str | None = None) -> RolledBack:
    """Make an older version current: the one before the current, or the one whose hash begins with `version`.

    Two rollbacks go back two versions. Open conversations keep their version. Raises NotFoundError, and
    ConflictError when there is no such version or it cannot run with the present secrets.
    """
    owner = await identity.tenant(system, slug)
    async with system.transaction() as tx:
        await queries.lock(tx, owner.id)
        newest = await queries.newest_publication(tx, owner.id)
        if newest is None:
            raise NotFoundError(f"{slug} has published nothing yet: `recado tenants publish FOLDER` does")
        target = await _target(tx, owner, newest, version)
        row = await queries.version(tx, target.version_id)
        assert row is not None
        loaded = await _loadable(row)
        await require_secrets(tx, owner, loaded)
        await identity_queries.upsert_tenant(tx, slug, loaded.assistant.name)
        await queries.make_current(
            tx, tenant_id=owner.id, version_id=target.version_id, before_id=target.before_id, now=clock()
        )
    return RolledBack(old=newest.content_hash, new=target.content_hash)


async def _target(
    tx: Transaction, owner: TenantRow, newest: queries.Publication, version: str | None
) -> queries.Publication:
    if version is None:
        before = None if newest.before_id is None else await queries.publication(tx, newest.before_id)
        if before is None:
            raise ConflictError(
                f"{owner.slug} had no version before {newest.content_hash[:SHORT]}: "
                f"`recado tenants versions {owner.slug}` lists those that there are"
            )
        return before
    row = await named(tx, owner, version)
    if row.id == newest.version_id:
        raise ConflictError(f"version {row.content_hash[:SHORT]} is the current one already")
    target = await queries.newest_publication(tx, owner.id, row.id)
    assert target is not None
    return target


async def _loadable(row: queries.VersionRow) -> LoadedAssistant:
    try:
        return await load(row)
    except InvalidFiles as error:
        raise ConflictError(
            f"version {row.content_hash[:SHORT]} no longer loads with this Recado, and was not made current:\n{error}"
        ) from None


async def named(tx: Transaction, owner: TenantRow, prefix: str) -> queries.VersionRow:
    """Return the tenant's version whose hash begins with `prefix`.

    Raises NotFoundError, and ConflictError when several do.
    """
    found = await queries.versions_like(tx, owner.id, prefix.lower())
    if not found:
        raise NotFoundError(
            f"{owner.slug} has no version {prefix!r}: `recado tenants versions {owner.slug}` lists those that there are"
        )
    if len(found) > 1:
        raise ConflictError(f"more than one version of {owner.slug} begins with {prefix!r}: give more of it")
    return found[0]


async def current(db: Database, tenant_id: UUID) -> LoadedAssistant:
    """Return the version that new conversations of the tenant get. Raises NotFoundError, InvalidFiles."""
    async with db.statement(tenant_id) as tx:
        row = await queries.current_version(tx, tenant_id)
    if row is None:
        raise NotFoundError(NOTHING_PUBLISHED)
    return await load(row)


async def published(system: Database) -> list[queries.Published]:
    """Return every tenant with its current version."""
    async with system.statement() as tx:
        return await queries.published(tx)


async def versions(system: Database, slug: str) -> list[queries.Version]:
    """Return every version of a tenant, the one that was made current last first. Raises NotFoundError."""
    owner = await identity.tenant(system, slug)
    async with system.statement() as tx:
        return await queries.versions(tx, owner.id)
