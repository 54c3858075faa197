"""One turn: claim the conversation, run its graph, commit everything at once."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import structlog

from app.assistants.service import Assistants
from app.channels.base import split_body
from app.clock import Clock
from app.config import Settings
from app.db import DB_UNAVAILABLE
from app.outbox.queries import OutboxRow
from app.telemetry import Milestone
from app.turns import queries, runtime
from app.turns.limits import LimitTracker
from app.turns.plan import Plan, Run, plan
from app.turns.queries import Claim, Committed, Interrupt, Record, Settlement, Unclaimed
from app.turns.runtime import Finished, Graphs
from app.turns.saver import BufferingSaver
from app.turns.timers import Waits, expiry, timer
from app.turns.tool_runner import JournalingToolRunner, Ports
from graphs.config import CLOSE, Assistant
from graphs.context import Context
from graphs.llm_client import Models
from graphs.nodes.handoff import Decision
from graphs.state import Reply, Route, Usage
from manifest.loader import InvalidAssistant, Loaded

log = structlog.get_logger()

FOLDS = 3
"""How often a turn begins again for what came meanwhile: somebody who never stops writing is answered, too."""

RETRY_AFTER = (1.0, 3.0, 10.0, 30.0)
"""Seconds before a failed turn is tried again."""

UNPUBLISHED_RETRY = 30.0
"""Seconds between looks at a tenant that has a channel but no published assistant."""


@dataclass(frozen=True)
class Taken:
    """What a try to take a turn left: a row to post at once, and how much waits until when.

    `spoke`: there are replies to deliver. `claimable` is False when somebody else has the conversation, or when trying
    again at once makes no sense.
    """

    head: OutboxRow | None
    pending: int
    due_at: datetime | None
    claimable: bool = False
    spoke: bool = False


class Fenced(Exception):
    """Another worker has the conversation: what this turn did counts for nothing, and is dropped."""


class Folded(Exception):
    """Something came while the turn was at work: it begins again with both."""


class Turns:
    """Runs turns, any number at once. Holds no connection while a model thinks."""

    def __init__(self, assistants: Assistants, models: Models, ports: Ports, clock: Clock, settings: Settings) -> None:
        self._db = ports.db
        self._assistants = assistants
        self._models = models
        self._ports = ports
        self._clock = clock
        self._settings = settings
        self._on_milestone = ports.on_milestone
        self._graphs = Graphs()
        self._folded: dict[UUID, list[Sequence[Usage]]] = {}
        self._limits = LimitTracker(ports.db)

    async def take(self, tenant_id: UUID, conversation_id: UUID, owner: int) -> Taken:
        """One turn, if there is one to take. Raises psycopg.Error while Postgres is away."""
        now = self._clock()
        async with self._db.statement(tenant_id) as tx:
            claimed = await queries.claim(
                tx, conversation_id, owner, now, now - timedelta(seconds=self._settings.lease)
            )
        if isinstance(claimed, Unclaimed):
            return Taken(None, claimed.pending, claimed.due_at)
        self._on_milestone(Milestone.TURN_CLAIMED)
        try:
            async with asyncio.timeout(self._settings.turn_timeout):
                return await self._run(claimed)
        except Fenced:
            log.warning("turn fenced off", conversation_id=str(conversation_id), epoch=claimed.epoch)
            return Taken(None, 0, None)
        except Folded:
            await self._release(claimed, "something came meanwhile", 0.0, forgive=True)
            return Taken(None, len(claimed.inbox), self._clock(), claimable=True)
        except asyncio.CancelledError:
            await self._release(claimed, "interrupted", 0.0, forgive=True)
            raise
        except DB_UNAVAILABLE as error:
            log.warning("turn interrupted", conversation_id=str(conversation_id), error=type(error).__name__)
            await self._release(claimed, type(error).__name__, RETRY_AFTER[0], forgive=True)
            return Taken(None, len(claimed.inbox), self._clock() + timedelta(seconds=RETRY_AFTER[0]))
        except Exception as error:
            # The rim of a turn: whatever a graph, a tool or Postgres threw, the turn is undone and tried again.
            log.exception("turn failed", conversation_id=str(conversation_id), attempts=claimed.attempts)
            wait = RETRY_AFTER[min(claimed.attempts, len(RETRY_AFTER)) - 1]
            await self._release(claimed, type(error).__name__, wait)
            return Taken(None, len(claimed.inbox), self._clock() + timedelta(seconds=wait))

    async def _run(self, claim: Claim) -> Taken:
        if not claim.inbox:
            log.error("nothing waits where something should", conversation_id=str(claim.id))
            await self._release(claim, "the inbox is empty", UNPUBLISHED_RETRY, forgive=True)
            return Taken(None, 0, None)
        if claim.version_id is None:
            log.warning("tenant has no published assistant", tenant_id=str(claim.tenant_id))
            await self._release(claim, "no assistant is published", UNPUBLISHED_RETRY, forgive=True)
            return Taken(None, 0, None)
        todo = plan(claim, self._settings.turn_attempts)
        if todo.run is Run.EXPIRE:
            # Whoever writes at the last moment is heard: the turn then begins again with that.
            return await self._commit(claim, _expired(todo), fold=True)
        if todo.run is Run.NOT_AT_ALL:
            return await self._commit(claim, await self._passed_on(claim, todo))
        loaded = await self._loaded(claim)
        if todo.run is Run.PARK:
            return await self._commit(claim, _parked(claim, todo, loaded.assistant, self._clock()))
        settlement, legs = await self._run_graph(claim, todo, loaded)
        # What a leg has committed stands: a turn that called tools is not begun again.
        may_fold = todo.run is Run.MESSAGES and loaded.assistant.lifecycle.while_running == "fold" and legs == 0
        return await self._commit(claim, settlement, fold=may_fold and len(self._folded.get(claim.id, ())) < FOLDS)

    async def _loaded(self, claim: Claim) -> Loaded:
        """The version that the conversation opened with; the current one, if that one no longer loads."""
        assert claim.version_id is not None
        try:
            return await self._assistants.version(claim.tenant_id, claim.version_id)
        except InvalidAssistant:
            log.exception("version unusable", tenant_id=str(claim.tenant_id), version_id=claim.version_id)
            return await self._assistants.current(claim.tenant_id)

    async def _passed_on(self, claim: Claim, todo: Plan) -> Settlement:
        """No graph runs; what an operator said too late for one is said all the same."""
        said, timer = todo.passes_on, None
        record = Record(replies=_split([Reply(author="operator", body=said)])) if said else None
        # Who writes while it waits for an operator has not gone quiet; how long the operator takes is another matter.
        lives = claim.status in ("waiting", "human") and claim.wake_for in (None, "expire")
        if lives:
            with contextlib.suppress(InvalidAssistant):
                timer = expiry((await self._loaded(claim)).assistant, self._clock())
        return Settlement(claim.status, todo.dispositions, timer, keep_timer=timer is None, record=record)

    async def _run_graph(self, claim: Claim, todo: Plan, loaded: Loaded) -> tuple[Settlement, int]:
        """What the turn did, and how many legs of it are committed."""
        now, assistant, legs = self._clock(), loaded.assistant, 0
        saver = BufferingSaver(str(claim.id), claim.checkpoints)
        runner = JournalingToolRunner(self._ports, claim, loaded, now)
        context = Context(
            now,
            claim.contact_name,
            self._models,
            runner,
            tags=frozenset(claim.contact_tags),
            first_turn=claim.turn == 0,
            facts=tuple(claim.contact_facts) if assistant.facts else (),
            over_limit=await self._limits.limit(claim.tenant_id, assistant, now),
        )

        async def commit_leg() -> None:
            nonlocal legs
            self._on_milestone(Milestone.LEG_RUN)
            async with self._db.statement(claim.tenant_id) as tx:
                kept = await queries.commit_leg(
                    tx, claim, saver.commit_parameters(), list(todo.dispositions), self._clock()
                )
            if not kept:
                raise Fenced
            saver.committed()
            legs += 1
            self._on_milestone(Milestone.LEG_COMMITTED)

        finished = await runtime.run_legs(
            self._graphs.get(loaded),
            saver,
            str(claim.id),
            await self._input(claim, todo, assistant),
            context,
            commit_leg,
        )
        self._on_milestone(Milestone.TURN_RUN)
        if not finished.interrupts:
            saver.finish()
        return _settled(todo, finished, saver.commit_parameters(), assistant, self._clock()), legs

    async def _input(self, claim: Claim, todo: Plan, assistant: Assistant) -> runtime.GraphInput:
        match todo.run:
            case Run.MESSAGES:
                return runtime.messages_input(todo.messages)
            case Run.CLOSE:
                return runtime.timer_input("idle")
            case Run.REMIND:
                return runtime.timer_input("reminder")
            case Run.RESUME if todo.decision is not None:
                return runtime.resume_input(await self._decision(claim, todo.decision, assistant))
            case _:
                return None

    async def _decision(self, claim: Claim, item: queries.InboxItem, assistant: Assistant) -> Decision:
        async with self._db.statement(claim.tenant_id) as tx:
            lines = await queries.said_meanwhile(tx, claim.id, item.id)
        said: Any = [
            {
                "id": line.id,
                "author": line.author,
                "body": runtime.as_text(line.body, line.payload) if line.author == "contact" else line.body,
            }
            for line in lines
        ]
        if item.kind == "timer":
            return Decision(action=assistant.handoff.on_timeout, said=said, unattended=True)
        return Decision(
            action=item.payload["action"],
            reply=item.payload.get("reply"),
            arguments=item.payload.get("arguments") or {},
            reason=item.payload.get("reason"),
            said=said,
        )

    async def _commit(self, claim: Claim, settlement: Settlement, *, fold: bool = False) -> Taken:
        now, record = self._clock(), settlement.record
        if record is not None and claim.id in self._folded:
            # What the attempts before this one asked of models was asked, and is paid for.
            spent = [*chain.from_iterable(self._folded[claim.id]), *record.usage]
            settlement = replace(settlement, record=replace(record, usage=spent))
        async with self._db.statement(claim.tenant_id) as tx:
            committed = await queries.commit(tx, claim, settlement, now, if_nothing_came=fold)
        if committed is None:
            # Fenced off, perhaps: then what is released is nothing of ours, and the next claim says so.
            if fold and record is not None:
                self._folded.setdefault(claim.id, []).append(record.usage)
            raise Folded if fold else Fenced
        self._folded.pop(claim.id, None)
        self._on_milestone(Milestone.TURN_COMMITTED)
        return Taken(
            _head(claim, settlement, committed, now),
            committed.pending,
            committed.due_at,
            claimable=True,
            spoke=settlement.record is not None and bool(settlement.record.replies),
        )

    async def _release(self, claim: Claim, error: str | None, wait: float, *, forgive: bool = False) -> None:
        due_at = self._clock() + timedelta(seconds=wait)
        try:
            async with self._db.statement(claim.tenant_id) as tx:
                await queries.release(tx, claim, error, due_at, forgive=forgive)
        except DB_UNAVAILABLE as failure:
            # Postgres is away: this worker's lock goes with it, and a sweep finds an owner that is dead.
            log.warning("release failed", conversation_id=str(claim.id), error=type(failure).__name__)


def _settled(
    todo: Plan, finished: Finished, checkpoint: dict[str, Any], assistant: Assistant, now: datetime
) -> Settlement:
    turn = finished.state["turn"]
    spoken = list(turn["replies"])
    spoken += [
        Reply(author="assistant", body=i.payload["message"]) for i in finished.interrupts if i.payload["message"]
    ]
    status = "waiting" if finished.interrupts else "closed" if turn["closed"] else "bot"
    return Settlement(
        status=status,
        dispositions=todo.dispositions,
        # Also when it is to be closed: if something comes meanwhile, it is not.
        timer=timer(_waits_for(finished), assistant, now),
        checkpoint=checkpoint,
        record=Record(
            replies=_split(spoken),
            agent=finished.state.get("agent"),
            route=turn["route"],
            usage=turn["usage"],
            interrupts=[_due(interrupt, assistant, now) for interrupt in finished.interrupts],
            rating=turn.get("rating"),
        ),
    )


def _waits_for(finished: Finished) -> Waits:
    if finished.interrupts:
        return "approval" if any(interrupt.kind == "approval" for interrupt in finished.interrupts) else "handoff"
    if finished.state.get("csat") == "asked":
        return "rating"
    return "reminded" if finished.state["turn"]["event"] == "reminder" else "contact"


def _due(interrupt: Interrupt, assistant: Assistant, now: datetime) -> Interrupt:
    sla = assistant.handoff.sla if interrupt.kind == "handoff" else None
    return replace(interrupt, due_at=now + timedelta(seconds=sla)) if sla else interrupt


def _expired(todo: Plan) -> Settlement:
    """No graph runs, and nobody is told: the conversation ends, with whatever it waited for."""
    return Settlement("closed", todo.dispositions, record=Record(route=Route(to=CLOSE, why="expired")))


def _parked(claim: Claim, todo: Plan, assistant: Assistant, now: datetime) -> Settlement:
    """Gives the rows up, visibly. The conversation goes on with the assistant, from its last good checkpoint."""
    log.error("turn parked", conversation_id=str(claim.id), attempts=claim.attempts - 1)
    error = f"parked after {claim.attempts - 1} attempts that ended with the worker, or with an error"
    if claim.status == "bot" and all(item.kind == "timer" for item in claim.inbox):
        # The contact has said nothing that an apology could answer.
        return Settlement("closed", todo.dispositions, timer("contact", assistant, now), record=Record(error=error))
    said = todo.passes_on
    reply = Reply(author="operator", body=said) if said else Reply(author="assistant", body=assistant.apology)
    return Settlement(
        status="bot",
        dispositions=todo.dispositions,
        timer=timer("contact", assistant, now),
        record=Record(
            replies=_split([reply]),
            error=error,
        ),
    )


def _split(replies: list[Reply]) -> list[Reply]:
    return [Reply(author=r["author"], body=part) for r in replies for part in split_body(r["body"])]


def _head(claim: Claim, settlement: Settlement, committed: Committed, now: datetime) -> OutboxRow | None:
    if committed.head_id is None or settlement.record is None:
        return None
    return OutboxRow(
        id=committed.head_id,
        conversation_id=claim.id,
        channel_id=claim.channel_id,
        recipient=claim.contact_address,
        body=settlement.record.replies[0]["body"],
        attempts=1,
        attempted_at=now,
        created_at=now,
        status="sending",
    )
