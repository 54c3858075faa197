"""Decide who answers: by rules first, then by one structured model call."""

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs import prompts
from graphs.answers import rating_in
from graphs.config import CLASSIFY, CLOSE, HANDOFF, Assistant
from graphs.context import Context
from graphs.edges import flow_node
from graphs.flows import initial_state, question_of
from graphs.language import Languages
from graphs.llm_client import ModelFailure, Toolbox, priced
from graphs.nodes.base import NodeWithRuntime
from graphs.rules import RuleInput
from graphs.state import FlowState, Route, State, TurnState, Usage, add_reply, replace_turn

FAILED = ""
"""The target of a turn whose router failed."""

MESSAGES_READ = 6
"""The number of messages that the router reads."""


def make_route(assistant: Assistant) -> NodeWithRuntime[Command[str]]:
    """Return the node for the assistant's rules, agents and flows."""
    classifier = Classifier(assistant)
    languages = Languages(assistant)

    async def route(state: State, runtime: Runtime[Context]) -> Command[str]:
        turn, context = state["turn"], runtime.context
        if turn["handoff"] is not None:
            # The turn was started to hand the conversation over.
            return _goto(assistant, Route(to=HANDOFF, why=turn["handoff"]), turn, None)
        if turn["event"] == "reminder":
            return Command(goto="remind", update={"turn": replace_turn(turn, route=Route(to="remind", why="idle"))})
        choice = route_without_model(
            assistant, state, _rule_input(assistant, languages, state, context), context.over_limit
        )
        usage: list[Usage] = []
        if choice is None:
            choice, usage = await classifier.choose(context, state)
            if choice["to"] == FAILED:
                turn = add_reply(turn, assistant.apology)
                choice = Route(to=HANDOFF, why=choice["why"])
        turn = replace_turn(turn, route=choice, usage=[*turn["usage"], *usage])
        return _goto(assistant, choice, turn, state.get("flow"))

    return route


def _rule_input(assistant: Assistant, languages: Languages, state: State, context: Context) -> RuleInput:
    said = state["turn"]["said"]
    return RuleInput(
        text=said,
        button=state["turn"]["button"],
        language=languages.of(said),
        outside_hours=not assistant.hours.open_at(context.now.astimezone(assistant.timezone)),
        first_message=context.first_turn,
        tags=context.tags,
    )


def route_without_model(
    assistant: Assistant, state: State, rule_input: RuleInput, over_limit: str | None = None
) -> Route | None:
    """Return the route that needs no model: a rule, a waiting flow, the sticky agent, or the only agent."""
    if state["turn"]["event"] == "idle":
        return Route(to=CLOSE, why="idle")
    if state.get("csat") == "asked":
        # The recall node has already handled a message that says anything else.
        rating, _ = rating_in(state["turn"]["said"])
        return Route(to=CLOSE, why="no rating yet" if rating is None else f"rated {rating}")
    if over_limit is not None:
        return Route(to=HANDOFF, why=over_limit)
    flow, agent = state.get("flow"), state.get("agent")
    asking = question_of(assistant, flow) is not None
    for number, rule in enumerate(assistant.rules, 1):
        # A word of a rule within an answer does not end a flow. Only rules to a human or to the close do.
        if (not asking or rule.to in (HANDOFF, CLOSE)) and rule.applies(rule_input):
            return Route(to=rule.to, why=f"rule {number}: {rule.why}")
    if flow is not None and asking:
        return Route(to=flow["name"], why="the flow goes on")
    if assistant.sticky and agent in assistant.agents:
        return Route(to=str(agent), why="still in charge")
    return None if assistant.otherwise == CLASSIFY else Route(to=assistant.otherwise, why="the only way")


def _goto(assistant: Assistant, choice: Route, turn: TurnState, flow: FlowState | None) -> Command[str]:
    to = choice["to"]
    if to in assistant.flows:
        waits = flow is not None and flow["name"] == to and question_of(assistant, flow) is not None
        return Command(
            goto=flow_node(to), update={"turn": turn, "flow": flow if waits else initial_state(assistant.flows[to])}
        )
    if to == HANDOFF:
        return Command(
            goto="handoff", update={"turn": replace_turn(turn, route=choice, handoff=choice["why"]), "flow": None}
        )
    return Command(goto="close" if to == CLOSE else "select_agent", update={"turn": turn, "flow": None})


class Classifier:
    """Picks an agent, a human or the close with one structured model call."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        human = [HANDOFF] if assistant.handoff.triggers.asked else []
        self._options = [*assistant.agents, *assistant.flows, *human, CLOSE]
        self._toolbox = Toolbox([self._declaration()], forced="route")

    async def choose(self, context: Context, state: State) -> tuple[Route, list[Usage]]:
        """Return the model's choice, or FAILED with the reason, and the usage. An invalid choice gets a second try."""
        messages, assistant = state["messages"], self._assistant
        system = SystemMessage(prompts.for_router(assistant, state.get("agent")))
        record = context.recorder(assistant.prices, None)
        spoken = [m for m in messages if isinstance(m, HumanMessage) or (isinstance(m, AIMessage) and not m.tool_calls)]
        usage: list[Usage] = []
        for _ in range(2):
            try:
                answer = await context.models.answer(
                    assistant.models, [system, *spoken[-MESSAGES_READ:]], self._toolbox, record
                )
            except ModelFailure as failure:
                return Route(to=FAILED, why=f"the router failed: {failure}"), usage
            usage.append(priced(answer.usage, assistant.prices, None))
            arguments = answer.message.tool_calls[0]["args"] if answer.message.tool_calls else {}
            if arguments.get("to") in self._options:
                return Route(to=arguments["to"], why=str(arguments.get("why", ""))[:200]), usage
        return Route(to=FAILED, why="the router failed: it chose none of the options"), usage

    def _declaration(self) -> dict[str, Any]:
        parameters = {
            "type": "object",
            "properties": {
                "to": {"type": "string", "enum": self._options, "description": "Who answers."},
                "why": {"type": "string", "description": "Why, in a few words."},
            },
            "required": ["to", "why"],
        }
        return {
            "type": "function",
            "function": {"name": "route", "description": "Says who answers the contact.", "parameters": parameters},
        }
