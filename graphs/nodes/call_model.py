"""Asks the agent's model."""

from langchain_core.messages import SystemMessage
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
        return {"messages": [answer.message], "turn": turn}

    return call_model
