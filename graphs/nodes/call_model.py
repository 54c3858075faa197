"""Call the agent's model."""

from collections.abc import Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langgraph.runtime import Runtime

from graphs import prompts, transfer
from graphs.config import Agent, Assistant
from graphs.context import Context
from graphs.history import with_call_ids
from graphs.llm_client import ModelFailure, Toolbox, priced
from graphs.nodes.base import NodeWithRuntime
from graphs.state import State, Update, add_reply, replace_turn

CALLS_PER_TURN = 10
"""The maximum number of model calls in a turn. An agent that needs more is in a loop."""


def make_call_model(assistant: Assistant) -> NodeWithRuntime[Update]:
    """Return the node, with the tool declarations of every agent."""
    toolboxes = {agent.name: _toolbox(assistant, agent) for agent in assistant.agents.values()}

    async def call_model(state: State, runtime: Runtime[Context]) -> Update:
        turn, context = state["turn"], runtime.context
        agent = assistant.agents[str(state["agent"])]
        system = SystemMessage(prompts.for_agent(assistant, agent, context))
        models = agent.models or assistant.models
        try:
            if len(turn["usage"]) >= CALLS_PER_TURN:
                raise ModelFailure(f"no answer after {CALLS_PER_TURN} calls", retryable=False)
            record = context.recorder(assistant.prices, agent.name)
            answer = await context.models.answer(models, [system, *state["messages"]], toolboxes[agent.name], record)
        except ModelFailure as failure:
            return {"turn": replace_turn(add_reply(turn, assistant.apology), handoff=f"the model failed: {failure}")}
        turn = replace_turn(turn, usage=[*turn["usage"], priced(answer.usage, assistant.prices, agent.name)])
        if not answer.message.tool_calls:
            turn = add_reply(turn, answer.message.text.strip())
        return {"messages": [with_fresh_ids(answer.message, state["messages"])], "turn": turn}

    return call_model


def with_fresh_ids(message: AIMessage, earlier: Sequence[BaseMessage]) -> AIMessage:
    """Return the message with new ids for its tool calls: some servers count from zero in every answer."""
    taken = {call["id"] for said in earlier if isinstance(said, AIMessage) for call in said.tool_calls}
    fresh: list[str] = []
    for call in message.tool_calls:
        fresh.append(f"call_{uuid4().hex[:24]}" if call["id"] in taken else str(call["id"]))
        taken.add(fresh[-1])
    return with_call_ids(message, fresh)


def _toolbox(assistant: Assistant, agent: Agent) -> Toolbox:
    # A version that was published earlier may name a tool twice, which Google refuses.
    declarations = [assistant.tools[name].declaration() for name in dict.fromkeys(agent.tools)]
    if agent.transfers:
        declarations.append(transfer.declaration(assistant, agent))
    return Toolbox(declarations)
