"""Runs a tenant's graph for one turn. The only place that builds graphs and gives them a checkpointer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from app.turns.queries import InboxItem, Interrupt
from app.turns.saver import BufferingSaver
from graphs.builder import LEG_ENDS_BEFORE, Graph, build
from graphs.context import Context
from graphs.edges import leg_ended
from graphs.nodes.handoff import Decision
from graphs.state import Event, State, new_turn
from manifest.loader import Loaded

STEPS_PER_LEG = 50

GraphInput = Mapping[str, Any] | Command[Any] | None


@dataclass(frozen=True)
class Finished:
    """Where the graph stopped: at its end, or at an interrupt."""

    state: State
    interrupts: Sequence[Interrupt]


class Graphs:
    """Compiled graphs by their assistant's content: building one takes milliseconds, copying it microseconds."""

    REMEMBERED = 500

    def __init__(self) -> None:
        self._by_content: dict[str, Graph] = {}

    def get(self, loaded: Loaded) -> Graph:
        """The graph of a version."""
        graph = self._by_content.get(loaded.content_hash)
        if graph is None:
            if len(self._by_content) >= self.REMEMBERED:
                self._by_content.clear()
            graph = build(loaded.assistant, interrupt_before=LEG_ENDS_BEFORE)
            self._by_content[loaded.content_hash] = graph
        return graph


async def run_legs(
    graph: Graph,
    saver: BufferingSaver,
    thread_id: str,
    graph_input: GraphInput,
    context: Context,
    commit_leg: Callable[[], Awaitable[None]],
) -> Finished:
    """Runs the graph until it ends or waits for an operator. `commit_leg` is awaited wherever a leg ends between."""
    compiled = graph.copy({"checkpointer": saver})
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}, "recursion_limit": STEPS_PER_LEG}
    while True:
        output = await compiled.ainvoke(
            cast("Any", graph_input), config, context=context, durability="exit", version="v1"
        )
        interrupts = [Interrupt(i.id, str(i.value["kind"]), i.value) for i in output.pop("__interrupt__", ())]
        state = cast("State", output)
        if interrupts or not leg_ended(state):
            return Finished(state, interrupts)
        await commit_leg()
        graph_input = None


def messages_input(items: Sequence[InboxItem]) -> GraphInput:
    """A turn that begins with what the contact wrote. Message ids are the provider's, so none can count twice."""
    texts = [as_text(item.body, item.payload) for item in items]
    buttons = [str(item.payload["button"]) for item in items if "button" in item.payload]
    messages = [HumanMessage(text, id=item.provider_sid) for item, text in zip(items, texts, strict=True)]
    turn = new_turn("message", said="\n".join(texts), button=buttons[-1] if buttons else None)
    return {"messages": messages, "turn": turn}


def timer_input(event: Event) -> GraphInput:
    """A turn for a contact who has gone quiet: to remind it, or to say goodbye."""
    return {"messages": [], "turn": new_turn(event)}


def resume_input(decision: Decision) -> GraphInput:
    """A turn that goes on from an interrupt."""
    return Command(resume=decision)


def as_text(body: str, payload: Mapping[str, Any]) -> str:
    """A contact's message as models read it: its text, and what came with it by kind only."""
    extras = [f"[{media.get('content_type') or 'attachment'}]" for media in payload.get("media", ())]
    if location := payload.get("location"):
        extras.append(f"[location {location['latitude']}, {location['longitude']}]")
    return "\n".join(part for part in [body.strip(), *extras] if part) or "[empty message]"
