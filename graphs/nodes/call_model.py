"""Asks the agent's model."""

from collections.abc import Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langgraph.runtime import Runtime

from graphs import prompts
from graphs.config import Assistant
from graphs.context import Context
from graphs.models import ModelFailure, Toolbox
from graphs.nodes.base import NodeWithRuntime
from graphs.state import State, Update, changed, saying
from tools.registry import BUILTIN

CALLS_PER_TURN = 10
"""An agent that has still not answered after so many calls goes round in circles."""


def make_call_model(assistant: Assistant) -> NodeWithRuntime[Update]:
    """The node, with every agent's tools declared once."""
    toolboxes = {
        agent.name: Toolbox([BUILTIN[name].declaration() for name in agent.tools])
        for agent in assistant.agents.values()
    }

    async def call_model(state: State, runtime: Runtime[Context]) -> Update:
        turn, context = state["turn"], runtime.context
        agent = assistant.agents[str(state["agent"])]
        system = SystemMessage(prompts.for_agent(assistant, agent, context.contact_name, context.now))
        try:
            if len(turn["usage"]) >= CALLS_PER_TURN:
                raise ModelFailure(f"no answer after {CALLS_PER_TURN} calls", retryable=False)
            answer = await context.models.answer(assistant.model, [system, *state["messages"]], toolboxes[agent.name])
        except ModelFailure as failure:
            return {"turn": changed(saying(turn, assistant.apology), handoff=f"the model failed: {failure}")}
        turn = changed(turn, usage=[*turn["usage"], answer.usage])
        if not answer.message.tool_calls:
            turn = saying(turn, answer.message.text.strip())
        return {"messages": [with_fresh_ids(answer.message, state["messages"])], "turn": turn}

    return call_model


def with_fresh_ids(message: AIMessage, earlier: Sequence[BaseMessage]) -> AIMessage:
    """The message with ids of its own for its tool calls: some servers count them from zero in every answer."""
    taken = {call["id"] for said in earlier if isinstance(said, AIMessage) for call in said.tool_calls}
    calls = []
    for call in message.tool_calls:
        fresh = f"{call['id']}-{uuid4().hex[:12]}" if call["id"] in taken else call["id"]
        taken.add(fresh)
        calls.append({**call, "id": fresh})
    return message.model_copy(update={"tool_calls": calls})
