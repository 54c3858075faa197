"""Run a graph without database and queue, with the model simulator."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import aiohttp
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from app.turns.graph_run import STEPS_PER_LEG
from graphs.builder import Graph, build
from graphs.config import Assistant
from graphs.context import Context
from graphs.llm_client import Models
from graphs.nodes.handoff import ResumeValue
from graphs.state import new_turn
from manifest.folder import load_folder
from tests.platform import TENANT, TENANTS
from tools.ports import JSON, Effect, LocalPorts, Slot, SlotUnavailable, ToolCall, ToolContext, Unreachable

NAME = "Clínica dos Grafos"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SCRIPT = f"""
name: grafos
match: {NAME}
rules:
  - when: {{structured: true, user: "(?i)ningu[ée]m"}}
    json: {{to: ninguem, why: não existe}}
  - when: {{structured: true, user: "(?i)indeciso"}}
    json: {{to: ninguem, why: não sei}}
    times: 1
  - {{when: {{structured: true, user: "(?i)sem razão"}}, json: {{to: duvidas}}}}
  - {{when: {{structured: true, user: "(?i)pessoa"}}, json: {{to: handoff, why: quer uma pessoa}}}}
  - {{when: {{structured: true, user: "(?i)obrigado"}}, json: {{to: close, why: despediu-se}}}}
  - {{when: {{structured: true, user: "(?i)quebre o roteador"}}, fail: 401}}
  - {{when: {{structured: true, user: "(?i)marcar"}}, json: {{to: agenda, why: quer marcar}}}}
  - {{when: {{structured: true}}, json: {{to: duvidas, why: pergunta}}}}

  - {{when: {{user: "(?i)marcar sem parar"}}, call: {{name: find_slots, arguments: {{}}}}}}
  - {{when: {{user: "(?i)marcar sempre errado"}}, call: {{name: book_slot, arguments: {{slot_id: a}}}}}}
  - when: {{tool: find_slots, user: "(?i)marcar errado"}}
    call: {{name: book_slot, arguments: {{slot_id: a}}}}
  - {{when: {{result_of: book_slot, user: "(?i)marcar errado"}}, say: "corrijo - {{{{ result }}}}"}}
  - when: {{tool: find_slots, user: "(?i)marcar duas coisas"}}
    call: [{{name: find_slots, arguments: {{}}}}, {{name: book_slot, arguments: {{slot_id: a, patient: Ana}}}}]
  - when: {{tool: find_slots, user: "(?i)marcar e chamar"}}
    call: [{{name: book_slot, arguments: {{slot_id: a}}}}, {{name: request_human, arguments: {{reason: pediu}}}}]
  - when: {{tool: find_slots, user: "(?i)marcar proibido"}}
    call: {{name: drop_tables, arguments: {{}}}}
  - {{when: {{result_of: drop_tables}}, say: "não posso - {{{{ result }}}}"}}
  - when: {{tool: request_human, user: "(?i)roube a agenda"}}
    call: {{name: book_slot, arguments: {{slot_id: a, patient: Ladrão}}}}
  - {{when: {{result_of: book_slot, user: "(?i)roube"}}, say: "não deu - {{{{ result }}}}"}}
  - {{when: {{tool: find_slots, user: "(?i)marcar"}}, call: {{name: find_slots, arguments: {{}}}}}}
  - {{when: {{result_of: [find_slots, book_slot]}}, say: "ambos - {{{{ result.patient }}}}"}}
  - {{when: {{result_of: find_slots}}, say: "livre - {{{{ result.slots[0].id }}}}"}}
  - when: {{tool: request_human, user: "(?i)socorro"}}
    call: {{name: request_human, arguments: {{reason: pediu socorro}}}}
  - {{when: {{user: "(?i)recuse"}}, fail: 401}}

  - when: {{tool: transfer, user: "(?i)passe para (?P<to>[a-z]+)"}}
    call: {{name: transfer, arguments: {{to: "{{{{ m.to }}}}", why: pediu}}}}
  - {{when: {{tool: transfer, user: "(?i)pingue"}}, call: {{name: transfer, arguments: {{to: agenda, why: a}}}}}}
  - {{when: {{result_of: transfer, user: "(?i)fique"}}, say: "fiquei - {{{{ result }}}}"}}
  - when: {{tool: pedir, user: "(?i)peça duas vezes"}}
    call:
      - {{name: pedir, arguments: {{quanto: 1}}}}
      - {{name: preco, arguments: {{}}}}
      - {{name: pedir, arguments: {{quanto: 2}}}}
  - {{when: {{tool: pedir, user: "(?i)peça errado"}}, call: {{name: pedir, arguments: {{quanto: muito}}}}}}
  - {{when: {{tool: pedir, user: "(?i)peça"}}, call: {{name: pedir, arguments: {{quanto: 7}}}}}}
  - {{when: {{tool: preco, user: "(?i)injete"}}, call: {{name: pedir, arguments: {{quanto: 9}}}}}}
  - {{when: {{result_of: pedir, user: "(?i)insista"}}, call: {{name: pedir, arguments: {{quanto: 8}}}}, times: 1}}
  - {{when: {{result_of: pedir}}, say: "pedido - {{{{ result }}}}"}}
  - {{when: {{tool: preco, user: "(?i)quanto"}}, call: {{name: preco, arguments: {{}}}}}}
  - {{when: {{result_of: preco}}, say: "custa {{{{ result.preco }}}}"}}
  - say: "eco: {{{{ user }}}}"
"""


class InMemoryCalendar:
    """A calendar in memory with two slots."""

    def __init__(self) -> None:
        self.slots = [Slot(name, "sala", NOW + timedelta(hours=number)) for number, name in enumerate("ab", 1)]
        self.booked: dict[str, str] = {}

    async def free_slots(self, first: date, days: int, limit: int) -> list[Slot]:
        """Return the slots that are not booked."""
        return [slot for slot in self.slots if slot.id not in self.booked][:limit]

    async def book(self, slot_id: str, patient: str) -> Slot:
        """Book a slot. Raises SlotUnavailable if it is taken."""
        if slot_id in self.booked:
            raise SlotUnavailable("taken")
        self.booked[slot_id] = patient
        return next(slot for slot in self.slots if slot.id == slot_id)


class OnceToolRunner:
    """A tool runner that runs a tool with side effects once for each call id."""

    def __init__(self, calendar: InMemoryCalendar) -> None:
        self.calendar = calendar
        self.written: dict[str, JSON] = {}

    async def read(self, call: ToolCall, effect: Effect) -> JSON:
        """Run the tool."""
        return await effect(self._context())

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Run the tool, or return the result of the same call."""
        if call.id not in self.written:
            self.written[call.id] = await effect(self._context())
        return self.written[call.id]

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Run the tool."""
        return await effect(self._context())

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Run the tool, or return the result of the same call."""
        return await self.write_once(call, effect)

    def _context(self) -> ToolContext:
        return ToolContext(NOW, assistant().timezone, NoNetwork(), LocalPorts(self.calendar))


class NoNetwork:
    """An HTTP client that reaches nothing."""

    async def request(self, *_: object, **__: object) -> Any:
        """Raise Unreachable."""
        raise Unreachable("no network", sent=False)


def assistant(**changes: Any) -> Assistant:
    """Return the tests' assistant, with the name that SCRIPT matches. `changes` replace its fields."""
    return replace(_loaded(), **{"name": NAME, **changes})


@cache
def _loaded() -> Assistant:
    return load_folder(TENANTS / TENANT).assistant


@dataclass
class GraphConversation:
    """A thread of a graph."""

    graph: Graph
    models: Models
    http: aiohttp.ClientSession
    model: str
    calendar: InMemoryCalendar = field(default_factory=InMemoryCalendar)
    thread: str = field(default_factory=lambda: str(uuid.uuid4()))
    contact_name: str | None = "Ana"
    now: datetime = NOW
    tags: frozenset[str] = frozenset()
    first_turn: bool = False

    async def say(self, *texts: str, button: str | None = None, before: Sequence[BaseMessage] = ()) -> dict[str, Any]:
        """Run a turn for texts of the contact, and return the state. `before` is added to the history first."""
        messages = [*before, *(HumanMessage(text, id=f"SM{uuid.uuid4().hex}") for text in texts)]
        return await self.run({"messages": messages, "turn": new_turn(said="\n".join(texts), button=button)})

    async def idle(self) -> dict[str, Any]:
        """Run a turn for the idle timer, and return the state."""
        return await self.run({"messages": [], "turn": new_turn("idle")})

    async def decide(self, decision: ResumeValue) -> dict[str, Any]:
        """Resume the graph with an operator's decision, and return the state."""
        return await self.run(Command(resume=decision))

    async def run(self, graph_input: Any) -> dict[str, Any]:
        """Run the graph to its end or to an interrupt, and return the state."""
        runner = OnceToolRunner(self.calendar)
        context = Context(self.now, self.contact_name, self.models, runner, self.tags, first_turn=self.first_turn)
        config: Any = {"configurable": {"thread_id": self.thread}, "recursion_limit": STEPS_PER_LEG}
        state: dict[str, Any] = await self.graph.ainvoke(graph_input, config, context=context, durability="exit")
        return state

    async def asked(self) -> list[dict[str, Any]]:
        """Return the requests to the model, oldest first."""
        async with self.http.get(f"{self.model}/control/requests?limit=1000") as answer:
            requests: list[dict[str, Any]] = (await answer.json())["requests"]
            return requests


def compiled(of: Assistant) -> Graph:
    """Return the assistant's graph, with a checkpointer in memory."""
    return build(of, checkpointer=InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None)))


def replies(state: dict[str, Any]) -> list[tuple[str, str]]:
    """Return author and body of each reply of the turn."""
    return [(reply["author"], reply["body"]) for reply in state["turn"]["replies"]]


def interrupts(state: dict[str, Any]) -> list[Any]:
    """Return the payloads of the open interrupts."""
    return [interrupt.value for interrupt in state.get("__interrupt__", ())]


def shape(messages: Sequence[BaseMessage]) -> list[str]:
    """Return the first letter of each message's type: human, ai or tool."""
    return [message.type[0] for message in messages]
