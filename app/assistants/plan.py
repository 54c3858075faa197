"""Work out what publishing would change, and for which conversations. Changes nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.assistants import queries, service
from app.assistants.changes import Change, changes, text_diff
from app.assistants.required_secrets import MissingSecret, missing_secrets, not_set
from app.db import Database, Transaction
from app.errors import NotFoundError
from app.identity import queries as identity_queries
from app.identity import service as identity
from app.identity.queries import TenantRow
from graphs.config import Assistant
from graphs.sections import Call
from manifest.loader import InvalidFiles, LoadedAssistant


@dataclass(frozen=True)
class Live:
    """A group of open conversations with the same version, status and agent.

    Without a version they were opened before the tenant published one. `agent` is the agent in charge, or the flow
    of the last turn.
    """

    version_id: int | None
    content_hash: str | None
    status: str
    agent: str | None
    conversations: int


@dataclass(frozen=True)
class Lost:
    """A part that open conversations use and that the new version lacks.

    `content_hash` is their version. With `moves` they get the new version with their next turn; otherwise they keep
    theirs until they close.
    """

    kind: Literal["agent", "flow", "tool"]
    name: str
    content_hash: str
    conversations: int
    moves: bool


@dataclass(frozen=True)
class Moving:
    """Open conversations that get the new version with their next turn, and why.

    `content_hash` is the version that they leave, or None.
    """

    why: Literal["unpublished", "unloadable"]
    content_hash: str | None
    conversations: int


@dataclass(frozen=True)
class PublishPlan:
    """The changes of a publication.

    `current` is None for the tenant's first version. `diff` is the unified diff of the files other than assistant.yaml.
    Publishing is refused while `missing` is not empty.
    """

    slug: str
    current: str | None
    new: str
    changes: Sequence[Change]
    diff: str
    live: Sequence[Live]
    moving: Sequence[Moving]
    lost: Sequence[Lost]
    missing: Sequence[MissingSecret]

    @property
    def conversations(self) -> int:
        """The number of open conversations."""
        return sum(row.conversations for row in self.live)

    @property
    def staying(self) -> int:
        """The number of open conversations that keep their version."""
        return self.conversations - sum(group.conversations for group in self.moving)


@dataclass(frozen=True)
class Difference:
    """The difference between two published versions, named by their hashes.

    `diff` is the unified diff of the files other than assistant.yaml.
    """

    old: str
    new: str
    changes: Sequence[Change]
    diff: str


async def plan(system: Database, slug: str, loaded: LoadedAssistant) -> PublishPlan:
    """Return what publishing this assistant would change. Raises RecadoError for an invalid slug."""
    service.require_slug(slug)
    async with system.statement() as tx:
        tenant = await identity_queries.tenant_by_slug(tx, slug)
        if tenant is None:
            missing = missing_secrets(slug, loaded, ())
            return PublishPlan(slug, None, loaded.content_hash, (), "", (), (), (), missing)
        current = await queries.current_version(tx, tenant.id)
        rows = await queries.live(tx, tenant.id)
        missing = await not_set(tx, tenant, loaded)
        opened_with = await _opened_with(tx, {row.version_id for row in rows if row.version_id is not None})
    live = _live(rows, opened_with)
    before = {} if current is None else current.files
    return PublishPlan(
        slug=slug,
        current=current.content_hash if current else None,
        new=loaded.content_hash,
        changes=changes(before, loaded.files) if current else (),
        diff=text_diff(before, loaded.files) if current else "",
        live=live,
        moving=_moving(live, opened_with),
        lost=_lost(live, opened_with, loaded.assistant),
        missing=missing,
    )


async def difference(system: Database, slug: str, old: str | None = None, new: str | None = None) -> Difference:
    """Return the difference between two versions, named by the beginning of their hashes.

    `new` is the current version by default, and `old` the one that was current before it. Raises NotFoundError,
    ConflictError.
    """
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        after = await _current(tx, tenant) if new is None else await service.named(tx, tenant, new)
        before = await _before(tx, tenant, after) if old is None else await service.named(tx, tenant, old)
    return Difference(
        old=before.content_hash,
        new=after.content_hash,
        changes=changes(before.files, after.files),
        diff=text_diff(before.files, after.files),
    )


async def _current(tx: Transaction, tenant: TenantRow) -> queries.VersionRow:
    row = await queries.current_version(tx, tenant.id)
    if row is None:
        raise NotFoundError(f"{tenant.slug} has published nothing yet: `recado tenants publish FOLDER` does")
    return row


async def _before(tx: Transaction, tenant: TenantRow, after: queries.VersionRow) -> queries.VersionRow:
    newest = await queries.newest_publication(tx, tenant.id, after.id)
    before = newest and newest.before_id and await queries.publication(tx, newest.before_id)
    row = before and await queries.version(tx, before.version_id)
    if not row:
        raise NotFoundError(f"{tenant.slug} had no version before {after.content_hash[: service.SHORT]}")
    return row


async def _opened_with(tx: Transaction, version_ids: set[int]) -> dict[int, Assistant | None]:
    """Return the versions of the open conversations. A version that no longer loads is None."""
    found: dict[int, Assistant | None] = {}
    for version_id in sorted(version_ids):
        row = await queries.version(tx, version_id)
        assert row is not None
        try:
            found[version_id] = (await service.load(row)).assistant
        except InvalidFiles:
            found[version_id] = None
    return found


def _live(rows: Sequence[queries.LiveRow], opened_with: Mapping[int, Assistant | None]) -> list[Live]:
    counts: Counter[tuple[int | None, str | None, str, str | None]] = Counter()
    for row in rows:
        version = None if row.version_id is None else opened_with[row.version_id]
        in_flow = version is not None and row.routed in version.flows
        agent = row.routed if in_flow else row.agent
        counts[row.version_id, row.content_hash, row.status, agent] += row.conversations
    return [Live(*alike, conversations=count) for alike, count in counts.items()]


def _moving(live: Sequence[Live], opened_with: Mapping[int, Assistant | None]) -> list[Moving]:
    counts: Counter[str | None] = Counter()
    for row in live:
        if row.version_id is None or opened_with[row.version_id] is None:
            counts[row.content_hash] += row.conversations
    return [Moving("unpublished" if name is None else "unloadable", name, count) for name, count in counts.items()]


def _lost(live: Sequence[Live], opened_with: Mapping[int, Assistant | None], new: Assistant) -> list[Lost]:
    counts: Counter[tuple[Literal["agent", "flow", "tool"], str, str, bool]] = Counter()
    tools = {tool for name in (*new.agents, *new.flows) for tool in _tools(new, name)}
    for row in live:
        if row.version_id is None or row.content_hash is None or row.agent is None:
            continue
        old = opened_with[row.version_id]
        if row.agent not in new.agents and row.agent not in new.flows:
            kind: Literal["agent", "flow"] = "flow" if old is not None and row.agent in old.flows else "agent"
            counts[kind, row.agent, row.content_hash, old is None] += row.conversations
        for tool in _tools(old, row.agent) - tools if old is not None else ():
            counts["tool", tool, row.content_hash, False] += row.conversations
    return [Lost(kind, name, version, count, moves) for (kind, name, version, moves), count in sorted(counts.items())]


def _tools(assistant: Assistant, name: str) -> set[str]:
    """Return the tools that an agent or a flow may call."""
    if name in assistant.agents:
        return set(assistant.agents[name].tools)
    flow = assistant.flows.get(name)
    return {step.does.tool for step in flow.steps if isinstance(step.does, Call)} if flow else set()
