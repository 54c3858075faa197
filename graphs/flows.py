"""Run flows as subgraphs: one node for each step, entered at the step that waits for an answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, cast
from zoneinfo import ZoneInfo

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.answers import LONGEST, SENT, attached_answer, format_answer, is_question, parse_answer
from graphs.config import HANDOFF, REFERENCE, Assign, Assistant, Branch, End, Flow, FlowStep, Say, Verify
from graphs.context import Context
from graphs.default_texts import CHOOSE, EXPECTED, NOT_TEXT, SEND, TOO_LONG, in_language
from graphs.nodes.base import NodeWithRuntime
from graphs.rules import RuleInput
from graphs.sections import Ask, Call
from graphs.state import CALL, FlowState, Route, State, TurnState, Update, add_reply, replace_turn

Subgraph = CompiledStateGraph[State, Context, State, State]


def initial_state(flow: Flow) -> FlowState:
    """Return the state of a flow that starts."""
    return FlowState(name=flow.name, step=flow.steps[0].name, fields={}, tries=-1)


def compile_flow(steps: Mapping[str, Callable[..., Any]]) -> Subgraph:
    """Return the compiled subgraph of a flow. It stores nothing: its position is in the conversation's state."""
    graph = StateGraph(State, context_schema=Context)
    for name, step in steps.items():
        graph.add_node(name, step)
    graph.add_conditional_edges(START, _current_step, list(steps))
    return graph.compile(checkpointer=False)


def step_after(flow: Flow, name: str) -> str | None:
    """Return the step after another one."""
    names = [step.name for step in flow.steps]
    return next(iter(names[names.index(name) + 1 :]), None)


def question_of(assistant: Assistant, at: FlowState | None) -> str | None:
    """Return the question that waits for an answer. None when nothing waits, or the version has no such step."""
    flow = assistant.flows.get(at["name"]) if at is not None else None
    ask = next((step.does for step in flow.steps if at and step.name == at["step"]), None) if flow else None
    return render(flow, ask.question, at["fields"]) if flow and at and isinstance(ask, Ask) else None


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """Return the text with `{field}` and `{field.part}` replaced. Missing values are left out."""
    return REFERENCE.sub(lambda match: _text(_look_up(match[1], fields)), template)


def render(flow: Flow, template: str, fields: Mapping[str, Any]) -> str:
    """Return the text for the contact, with values formatted in the flow's language."""
    asks = {step.does.field: step.does for step in flow.steps if isinstance(step.does, Ask)}
    values = {
        name: format_answer(asks[name], value, flow.language) if name in asks else value
        for name, value in fields.items()
    }
    return fill(template, values)


def arguments_of(call: Call, parameters: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a flow's tool call, with fields filled in and converted to the types of `parameters`."""
    properties: Mapping[str, Any] = parameters.get("properties", {})
    arguments = {name: _fill_value(value, fields) for name, value in call.arguments.items()}
    return {name: _convert(value, properties.get(name)) for name, value in arguments.items()}


def _current_step(state: State) -> str:
    flow = state["flow"]
    assert flow is not None, "the node before sets the flow"
    return flow["step"]


def make_step(flow: Flow, step: FlowStep, timezone: ZoneInfo) -> NodeWithRuntime[Command[str]]:
    """Return the node of a step. Dates such as tomorrow are those of the time zone."""
    following = step_after(flow, step.name) or END

    async def node(state: State, *, runtime: Runtime[Context]) -> Command[str]:
        at = state["flow"]
        assert at is not None, "the node before sets the flow"
        here: FlowState = {**at, "step": step.name}
        match step.does:
            case Ask() as ask:
                today = runtime.context.now.astimezone(timezone).date()
                return _ask_or_accept(flow, ask, here, state["turn"], following, today)
            case Assign(values):
                fields = {name: fill(text, here["fields"]) for name, text in values.items()}
                return _continue_at(flow, following, {**here, "fields": {**here["fields"], **fields}}, state["turn"])
            case Verify(values):
                kept = {name: fill(text, here["fields"]) for name, text in values.items()}
                going_on = _continue_at(flow, following, here, state["turn"])
                verified = {**(state.get("verified") or {}), **{name: text for name, text in kept.items() if text}}
                return replace(going_on, update={**cast("Update", going_on.update), "verified": verified})
            case Branch(cases, otherwise):
                taken = (to for name, value, to in cases if _text(here["fields"].get(name)) == value)
                return _continue_at(flow, next(taken, otherwise or following), here, state["turn"])
            case Say(text):
                return _continue_at(flow, following, here, state["turn"], render(flow, text, here["fields"]))
            case End(to):
                return _end(flow, to, state["turn"])
            case Call():
                # The call is made outside of the subgraph. A leg ends before it, which makes its arguments durable.
                return Command(goto=END, update={"turn": replace_turn(state["turn"], goes_on=CALL), "flow": here})

    return node


def _ask_or_accept(flow: Flow, ask: Ask, at: FlowState, turn: TurnState, following: str, today: date) -> Command[str]:
    """Ask the question when the step is entered, else take the contact's text as the answer."""
    question = render(flow, ask.question, at["fields"])
    if at["tries"] < 0:
        return _wait_for_answer({**at, "tries": 0}, turn, question)
    if flow.cancel is not None and flow.cancel.applies(RuleInput(turn["said"])):
        return _continue_at(flow, END, at, turn, render(flow, flow.cancelled, at["fields"]))
    asks_back = flow.questions is not None and is_question(turn["said"])
    answer = _answer(ask, turn, flow.language, today, asks_back=asks_back)
    if answer is not None:
        # The next question waits for a new message.
        fields = {**at["fields"], ask.field: answer}
        return _continue_at(flow, following, {**at, "fields": fields, "tries": -1}, turn)
    if asks_back:
        route = Route(to=str(flow.questions), why=f"a question within the flow {flow.name}")
        turn = replace_turn(turn, route=route, goes_on=flow.questions)
        return Command(goto=END, update={"turn": turn, "flow": at})
    if at["tries"] + 1 >= ask.tries:
        reason = f"flow {flow.name}: no answer that fits {ask.field!r} after {ask.tries} tries"
        return _hand_over(reason, turn)
    error = render(flow, ask.error, at["fields"]) if ask.error else _error(ask, turn, flow.language)
    return _wait_for_answer({**at, "tries": at["tries"] + 1}, turn, f"{error}\n{question}" if error else question)


def _answer(ask: Ask, turn: TurnState, language: str, today: date, *, asks_back: bool) -> Any:
    if ask.expect in SENT:
        return attached_answer(ask, turn.get("attachments", ()))
    return None if asks_back and ask.expect == "text" else parse_answer(ask, turn["said"], language, today)


def _error(ask: Ask, turn: TurnState, language: str) -> str | None:
    """Return what is expected in place of an answer, in the language, where the manifest does not say it."""
    if ask.expect in SENT:
        return in_language(SEND[ask.expect], language)
    if not turn["said"].strip():
        return in_language(NOT_TEXT, language) if turn.get("attachments") else None
    if len(turn["said"]) > LONGEST:
        return in_language(TOO_LONG, language).format(LONGEST)
    if ask.expect == "choice":
        choices = "\n".join(f"{number}. {choice}" for number, choice in enumerate(ask.choices, 1))
        return f"{in_language(CHOOSE, language)}\n{choices}"
    return in_language(EXPECTED[ask.expect], language) if ask.expect in EXPECTED else None


def _look_up(path: str, fields: Mapping[str, Any]) -> Any:
    found: Any = fields
    for part in path.split("."):
        if isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _convert(value: Any, schema: Any) -> Any:
    """Return a text as the number that the schema wants, if it is one."""
    wanted = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(value, str) or wanted not in ("integer", "number"):
        return value
    try:
        return int(value) if wanted == "integer" else float(value)
    except ValueError:
        return value


def _fill_value(value: object, fields: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        # A text that is one field and nothing else keeps the field's type.
        alone = REFERENCE.fullmatch(value)
        found = _look_up(alone[1], fields) if alone else None
        return fill(value, fields) if found is None else found
    if isinstance(value, Mapping):
        return {name: _fill_value(part, fields) for name, part in value.items()}
    return [_fill_value(part, fields) for part in value] if isinstance(value, list) else value


def _continue_at(flow: Flow, to: str, at: FlowState, turn: TurnState, text: str | None = None) -> Command[str]:
    """Continue with another step, or end the flow after the last one."""
    update = _add_text(turn, text)
    if to == END:
        return Command(goto=END, update={**update, "flow": None})
    return Command(goto=to, update={**update, "flow": {**at, "step": to, "tries": -1}})


def _wait_for_answer(at: FlowState, turn: TurnState, text: str) -> Command[str]:
    return Command(goto=END, update={**_add_text(turn, text), "flow": at})


def _end(flow: Flow, to: str | None, turn: TurnState) -> Command[str]:
    if to == HANDOFF:
        return _hand_over(f"the flow {flow.name} ends with a human", turn)
    route = Route(to=to, why=f"the flow {flow.name} has ended") if to else turn["route"]
    return Command(goto=END, update={"turn": replace_turn(turn, route=route, goes_on=to), "flow": None})


def _hand_over(reason: str, turn: TurnState) -> Command[str]:
    return Command(goto=END, update={"turn": replace_turn(turn, handoff=reason), "flow": None})


def _add_text(turn: TurnState, text: str | None) -> Update:
    if not text:
        return {"turn": turn}
    return {"turn": add_reply(turn, text), "messages": [AIMessage(text)]}
