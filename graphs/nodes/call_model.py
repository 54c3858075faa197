"""Call the agent's model."""

import json
from collections.abc import Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from graphs import prompts, transfer
from graphs.config import Agent, Assistant
from graphs.context import Context
from graphs.default_texts import DONE, in_language
from graphs.history import with_call_ids
from graphs.llm_client import ModelFailure, Toolbox, priced
from graphs.model_text import spoken_text
from graphs.nodes.base import NodeWithRuntime
from graphs.reply_text import for_whatsapp
from graphs.state import State, TurnState, Update, add_reply, replace_turn

LONGEST_RECORD = 2_000
"""The number of characters of what operators see of the calls of a turn."""


def make_call_model(assistant: Assistant) -> NodeWithRuntime[Update]:
    """Return the node, with the tool declarations of every agent."""
    toolboxes = {agent.name: _toolbox(assistant, agent) for agent in assistant.agents.values()}

    async def call_model(state: State, runtime: Runtime[Context]) -> Update:
        turn, context = state["turn"], runtime.context
        agent = assistant.agents[str(state["agent"])]
        system = SystemMessage(prompts.for_agent(assistant, agent, context))
        models = agent.models or assistant.models
        if (reached := _limit_reached(assistant, turn)) is not None:
            return {"turn": _given_up(assistant, state, reached)}
        try:
            record = context.recorder(assistant.prices, agent.name)
            answer = await context.models.answer(models, [system, *state["messages"]], toolboxes[agent.name], record)
        except ModelFailure as failure:
            return {"turn": replace_turn(add_reply(turn, assistant.apology), handoff=f"the model failed: {failure}")}
        turn = replace_turn(turn, usage=[*turn["usage"], priced(answer.usage, assistant.prices, agent.name)])
        if not answer.message.tool_calls:
            turn = add_reply(turn, for_whatsapp(spoken_text(answer.message.text)))
        if answer.cut:
            turn = replace_turn(turn, problem="a model's answer reached its limit of tokens and was cut")
        return {"messages": [with_fresh_ids(answer.message, state["messages"])], "turn": turn}

    return call_model


def _limit_reached(assistant: Assistant, turn: TurnState) -> str | None:
    """Return which limit of a turn is reached, in words. An agent that needs more is mostly in a loop."""
    limits, calls = assistant.limits, turn["usage"]
    if len(calls) >= limits.model_calls_per_turn:
        return f"no answer after {len(calls)} calls of models"
    tokens = sum((call["input_tokens"] or 0) + (call["output_tokens"] or 0) for call in calls)
    most = limits.model_tokens_per_turn
    return f"no answer after {tokens} tokens" if most is not None and tokens >= most else None


def _given_up(assistant: Assistant, state: State, reached: str) -> TurnState:
    """Return the turn that goes to an operator, and tells the contact and the operator what was done."""
    done = _done_in_turn(assistant, state["messages"])
    names = list(dict.fromkeys(call["name"].replace("_", " ") for call in done))
    told = f" {in_language(DONE, assistant.language).format(done=', '.join(names))}" if names else ""
    record = "; ".join(f"{call['name']} {json.dumps(call['args'], ensure_ascii=False)}" for call in done)
    reason = f"{reached}; done: {record or 'nothing'}"
    return replace_turn(add_reply(state["turn"], assistant.apology + told), handoff=reason[:LONGEST_RECORD])


def _done_in_turn(assistant: Assistant, messages: Sequence[BaseMessage]) -> list[ToolCall]:
    """Return the calls of this turn that changed something."""
    begin = next((i for i in range(len(messages), 0, -1) if isinstance(messages[i - 1], HumanMessage)), 0)
    done = {m.tool_call_id for m in messages[begin:] if isinstance(m, ToolMessage) and m.status == "success"}
    calls = [call for m in messages[begin:] if isinstance(m, AIMessage) for call in m.tool_calls if call["id"] in done]
    return [call for call in calls if (tool := assistant.tools.get(call["name"])) and tool.effects == "write"]


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
