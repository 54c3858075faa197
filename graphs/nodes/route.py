"""Decides who answers: rules first, free of charge; then one structured model call."""

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs import prompts
from graphs.config import CLASSIFY, CLOSE, HANDOFF, Assistant
from graphs.context import Context
from graphs.models import ModelFailure, Models, Toolbox
from graphs.nodes.base import NodeWithRuntime
from graphs.state import Route, State, Usage, changed, saying

FAILED = ""
"""Where a router that failed sends a turn."""

MESSAGES_READ = 6
"""The router sees the end of the conversation only."""

Next = Command[Literal["select_agent", "handoff", "close"]]


def make_route(assistant: Assistant) -> NodeWithRuntime[Next]:
    """The node, for one assistant's rules and agents."""
    classifier = Classifier(assistant)

    async def route(state: State, runtime: Runtime[Context]) -> Next:
        turn = state["turn"]
        choice = by_rule(assistant, state)
        usage: list[Usage] = []
        if choice is None and assistant.otherwise != CLASSIFY:
            choice = Route(to=assistant.otherwise, why="the only way")
        if choice is None:
            choice, usage = await classifier.choose(runtime.context.models, state["messages"])
            if choice["to"] == FAILED:
                turn = saying(turn, assistant.apology)
                choice = Route(to=HANDOFF, why=choice["why"])
        turn = changed(turn, route=choice, usage=[*turn["usage"], *usage])
        if choice["to"] == HANDOFF:
            return Command(goto="handoff", update={"turn": changed(turn, handoff=choice["why"])})
        return Command(goto="close" if choice["to"] == CLOSE else "select_agent", update={"turn": turn})

    return route


def by_rule(assistant: Assistant, state: State) -> Route | None:
    """The first rule that applies to what the contact has just said."""
    turn = state["turn"]
    if turn["event"] == "idle":
        return Route(to=CLOSE, why="idle")
    for number, rule in enumerate(assistant.rules, 1):
        if rule.applies(turn["said"], turn["button"]):
            return Route(to=rule.to, why=f"rule {number}: {rule.button or ', '.join(rule.words)}")
    return None


class Classifier:
    """One structured model call that picks an agent, a human, or the end."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._options = [*assistant.agents, HANDOFF, CLOSE]
        self._toolbox = Toolbox([self._declaration()], forced="route")
        self._system = SystemMessage(prompts.for_router(assistant))

    async def choose(self, models: Models, messages: Sequence[BaseMessage]) -> tuple[Route, list[Usage]]:
        """The model's choice, or FAILED and why, and what it cost. It gets a second try when it names nobody."""
        spoken = [m for m in messages if isinstance(m, HumanMessage) or (isinstance(m, AIMessage) and not m.tool_calls)]
        usage: list[Usage] = []
        for _ in range(2):
            try:
                answer = await models.answer(
                    self._assistant.model, [self._system, *spoken[-MESSAGES_READ:]], self._toolbox
                )
            except ModelFailure as failure:
                return Route(to=FAILED, why=f"the router failed: {failure}"), usage
            usage.append(answer.usage)
            arguments = answer.message.tool_calls[0]["args"] if answer.message.tool_calls else {}
            if arguments.get("to") in self._options:
                return Route(to=arguments["to"], why=str(arguments.get("why", ""))[:200]), usage
        return Route(to=FAILED, why="the router failed: it named nobody"), usage

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
