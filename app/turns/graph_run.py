"""Run a tenant's graph for one turn. The only place that builds graphs and gives them a checkpointer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, cast

import structlog
from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig

from app.assistants.service import VERSIONS_MEMORY
from app.clock import Clock
from app.db import DatabaseUnavailable
from app.telemetry import Milestone
from app.turns.claim import Claim
from app.turns.commit import Interrupt, commit_leg
from app.turns.graph_input import GraphInput, messages_input, quoted_sids, resume_input, timer_input
from app.turns.hand_over import hand_over_input, parked_reason, set_checkpoint_aside, transcript
from app.turns.limits import LimitTracker
from app.turns.outcome import Fenced
from app.turns.plan import Action, TurnPlan
from app.turns.quotes import quoted_texts
from app.turns.resume import resume_value
from app.turns.saver import BufferingSaver
from app.turns.tool_runner import JournalingToolRunner, ToolDependencies
from graphs.builder import LEG_ENDS_BEFORE, Graph, Shape, build_shared, functions_of, shape_of
from graphs.config import Assistant
from graphs.context import Context, Functions
from graphs.edges import leg_ended
from graphs.llm_client import Models
from graphs.state import State
from manifest.loader import CompiledAssistant
from tools.lru import LruCache
from tools.single_flight import SingleFlight

STEPS_PER_LEG = 50

log = structlog.get_logger()


class GraphStuck(Exception):
    """The graph stopped before tools, and did nothing when it was continued."""


@dataclass(frozen=True)
class GraphResult:
    """The state in which the graph stopped. `checkpoint` are the commit's parameters, `legs` the committed legs.

    `problem` is what operators should know of the run.
    """

    state: State
    interrupts: Sequence[Interrupt]
    checkpoint: Mapping[str, Any]
    legs: int
    problem: str | None = None


_COMPILER = ThreadPoolExecutor(1, "graphs")


class GraphCache:
    """Compiled graphs by their shape, which versions share, and the functions of versions by content.

    Making functions takes a tenth of a millisecond. Compiling takes more than ten, so it has a thread of its own.
    """

    NODES = 5_000
    """The bound of all nodes of all graphs. A node takes some ten kilobytes."""

    def __init__(self) -> None:
        self._graphs: LruCache[Shape, tuple[Graph, int]] = LruCache(self.NODES, weigh=itemgetter(1))
        self._compiling: SingleFlight[Shape, Graph] = SingleFlight()
        # As many as there are versions in memory: each belongs to a version, and keeps it.
        self._functions: LruCache[str, tuple[Functions, int]] = LruCache(VERSIONS_MEMORY, weigh=itemgetter(1))

    async def graph(self, assistant: Assistant) -> Graph:
        """Return the graph of the assistant's shape."""
        shape = shape_of(assistant)
        known = self._graphs.get(shape)
        return known[0] if known else await self._compiling.run(shape, lambda: self._compile(shape))

    async def _compile(self, shape: Shape) -> Graph:
        compile_ = partial(build_shared, shape, interrupt_before=LEG_ENDS_BEFORE)
        graph = await asyncio.get_running_loop().run_in_executor(_COMPILER, compile_)
        steps = sum(len(steps) for _, steps in shape)
        self._graphs.put(shape, (graph, len(graph.nodes) + steps))
        return graph

    def functions(self, version: CompiledAssistant) -> Functions:
        """Return the functions that the graph needs for this version."""
        known = self._functions.get(version.content_hash)
        if known is None:
            known = functions_of(version.assistant), version.memory
            self._functions.put(version.content_hash, known)
        return known[0]


class GraphRunner:
    """Runs graphs, any number at once. Holds no connection while a model or a remote tool works."""

    def __init__(self, models: Models, tools: ToolDependencies, clock: Clock) -> None:
        self._db = tools.db
        self._models = models
        self._tools = tools
        self._clock = clock
        self._on_milestone = tools.on_milestone
        self._graphs = GraphCache()
        self._limits = LimitTracker(tools.db)

    async def run(self, claim: Claim, plan: TurnPlan, loaded: CompiledAssistant) -> GraphResult | Fenced:
        """Run the graph until it ends or waits for an operator, and commit each leg before that.

        A checkpoint that cannot be read is set aside, and the graph runs on the transcript.
        """
        try:
            saver = BufferingSaver(str(claim.id), claim.checkpoints)
        except Exception as error:
            # The bytes are damaged, or of a type that this release does not have: the deserializer raises anything.
            problem = f"the saved state could not be read ({type(error).__name__}) and was set aside"
            return await self._run_on_transcript(claim, plan, loaded, problem)
        if claim.turn > 0 and not claim.checkpoints:
            return await self._run_on_transcript(claim, plan, loaded, None)
        graph_input = await self._input(claim, plan, loaded.assistant)
        return await self._run(claim, plan, loaded, saver, graph_input)

    async def hand_over(self, claim: Claim, plan: TurnPlan, loaded: CompiledAssistant) -> GraphResult | None:
        """Run the graph straight to an operator. Return None when it cannot even do that."""
        graph_input = hand_over_input(plan, loaded.assistant, parked_reason(claim))
        for on_transcript in (False, True):
            try:
                if on_transcript:
                    saver, history = await self._begin_anew(claim, loaded)
                    result = await self._run(claim, plan, loaded, saver, _with_history(graph_input, history))
                else:
                    saver = BufferingSaver(str(claim.id), claim.checkpoints)
                    result = await self._run(claim, plan, loaded, saver, graph_input)
                return None if isinstance(result, Fenced) else result
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("hand-over failed", conversation_id=str(claim.id), on_transcript=on_transcript)
        return None

    async def _run_on_transcript(
        self, claim: Claim, plan: TurnPlan, loaded: CompiledAssistant, problem: str | None
    ) -> GraphResult | Fenced:
        saver, history = await self._begin_anew(claim, loaded)
        if plan.action in (Action.ANSWER, Action.CLOSE, Action.REMIND):
            graph_input = await self._input(claim, plan, loaded.assistant)
        else:
            # What the decision or the tool results were for is lost with the state.
            graph_input = hand_over_input(plan, loaded.assistant, problem or "the saved state is gone")
        result = await self._run(claim, plan, loaded, saver, _with_history(graph_input, history))
        return result if isinstance(result, Fenced) else replace(result, problem=problem)

    async def _begin_anew(self, claim: Claim, loaded: CompiledAssistant) -> tuple[BufferingSaver, list[AnyMessage]]:
        """Set the checkpoint aside. Return a saver without one, and the end of the transcript."""
        async with self._db.statement(claim.tenant_id) as tx:
            if claim.checkpoints:
                aside = await set_checkpoint_aside(tx, claim)
                log.error("checkpoint set aside", conversation_id=str(claim.id), thread_id=aside)
            history = await transcript(tx, claim, loaded.assistant.window)
        return BufferingSaver(str(claim.id), ()), history

    async def _run(
        self, claim: Claim, plan: TurnPlan, loaded: CompiledAssistant, saver: BufferingSaver, graph_input: GraphInput
    ) -> GraphResult | Fenced:
        context = await self._context(claim, loaded)
        legs = 0

        async def end_leg() -> bool:
            nonlocal legs
            self._on_milestone(Milestone.LEG_RUN)
            async with self._db.statement(claim.tenant_id) as tx:
                kept = await commit_leg(tx, claim, saver.commit_parameters(), list(plan.dispositions), self._clock())
            if kept:
                saver.mark_committed()
                legs += 1
                self._on_milestone(Milestone.LEG_COMMITTED)
            return kept

        stopped = await _run_legs(
            await self._graphs.graph(loaded.assistant), saver, str(claim.id), graph_input, context, end_leg
        )
        if stopped is None:
            return Fenced()
        self._on_milestone(Milestone.TURN_RUN)
        state, interrupts = stopped
        if not interrupts:
            saver.drop_subgraphs()
        return GraphResult(state, interrupts, saver.commit_parameters(), legs)

    async def _context(self, claim: Claim, loaded: CompiledAssistant) -> Context:
        now, assistant = self._clock(), loaded.assistant
        return Context(
            now,
            claim.contact_name,
            self._models,
            JournalingToolRunner(self._tools, claim, loaded, now),
            tags=frozenset(claim.contact_tags),
            first_turn=claim.turn == 0,
            facts=tuple(claim.contact_facts) if assistant.facts else (),
            over_limit=await self._limits.reached_limit(claim, assistant, now),
            on_model_call=claim.usage.add,
            functions=self._graphs.functions(loaded),
        )

    async def _input(self, claim: Claim, plan: TurnPlan, assistant: Assistant) -> GraphInput:
        match plan.action:
            case Action.ANSWER:
                return messages_input(plan.messages, await self._quoted(claim, plan))
            case Action.CLOSE:
                return timer_input("idle")
            case Action.REMIND:
                return timer_input("reminder")
            case Action.RESUME if plan.decision is not None:
                async with self._db.statement(claim.tenant_id) as tx:
                    return resume_input(await resume_value(tx, claim, plan.decision, assistant))
            case _:
                return None

    async def _quoted(self, claim: Claim, plan: TurnPlan) -> Mapping[str, str]:
        if not (sids := quoted_sids(plan.messages)):
            return {}
        async with self._db.statement(claim.tenant_id) as tx:
            return await quoted_texts(tx, claim.id, claim.contact_id, sids)


async def _run_legs(
    graph: Graph,
    saver: BufferingSaver,
    thread_id: str,
    graph_input: GraphInput,
    context: Context,
    end_leg: Callable[[], Awaitable[bool]],
) -> tuple[State, Sequence[Interrupt]] | None:
    """Run leg after leg. Return the final state and the open interrupts, or None when `end_leg` returns False."""
    compiled = graph.copy({"checkpointer": saver})
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}, "recursion_limit": STEPS_PER_LEG}
    while True:
        output = await compiled.ainvoke(
            cast("Any", graph_input), config, context=context, durability="exit", version="v1"
        )
        interrupts = [Interrupt(i.id, str(i.value["kind"]), i.value) for i in output.pop("__interrupt__", ())]
        state = cast("State", output)
        if interrupts or not leg_ended(state):
            return state, interrupts
        if not saver.has_new:
            # The checkpoint names a node that this release does not have.
            raise GraphStuck(f"thread {thread_id} has no node to continue with")
        if not await end_leg():
            return None
        graph_input = None


def _with_history(graph_input: GraphInput, history: Sequence[AnyMessage]) -> GraphInput:
    if not isinstance(graph_input, Mapping):
        raise TypeError("a run on the transcript starts a turn")
    return {**graph_input, "messages": [*history, *graph_input["messages"]]}
