"""Run the tools that the model called. A leg is committed before, so every call's id is durable."""

import json

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.messages import ToolCall as ModelToolCall
from langgraph.runtime import Runtime

from graphs.config import Agent, Assistant
from graphs.context import Context
from graphs.flows import initial_state
from graphs.nodes.base import NodeWithRuntime
from graphs.state import Route, State, TurnState, Update, add_reply, replace_turn
from graphs.tool_calls import CallFailed, fitting, perform
from graphs.transfer import TRANSFER
from tools.ports import JSON, ToolRunner

LONGEST_RESULT = 8_000
"""The number of characters of a tool's result that a model reads."""


def make_run_tools(assistant: Assistant) -> NodeWithRuntime[Update]:
    """Return the node. An agent can call only its own tools."""

    async def run_tools(state: State, runtime: Runtime[Context]) -> Update:
        turn = state["turn"]
        agent = assistant.agents[str(state["agent"])]
        results: list[ToolMessage] = []
        transfer: Route | None = None
        failed = ""
        for call in _calls(state):
            try:
                if call["name"] == TRANSFER:
                    transfer = _transfer(agent, call)
                    result: JSON = {"status": f"{transfer['to']} goes on from here"}
                else:
                    result = await _run(assistant, agent, call, turn, runtime.context.tools)
            except CallFailed as error:
                turn = replace_turn(turn, tool_failures=turn["tool_failures"] + 1)
                failed = f"{call['name']}: {error}"
                results.append(_message(call, str(error), "error"))
                continue
            if call["name"] != TRANSFER and assistant.tools[call["name"]].effects == "handoff":
                turn = replace_turn(turn, handoff=str(call["args"].get("reason", "the agent asked for a human")))
            results.append(_message(call, json.dumps(result, ensure_ascii=False, default=str), "success"))
        if turn["handoff"] is None and turn["tool_failures"] >= assistant.handoff.triggers.tool_failures:
            turn = replace_turn(
                add_reply(turn, assistant.apology), handoff=f"tools failed too often, at last {failed}"[:300]
            )
        heard = turn["heard"]
        turn = replace_turn(turn, approval=None, heard=[])
        return _transferred(assistant, transfer, {"messages": [*results, *heard], "turn": turn})

    return run_tools


def _calls(state: State) -> list[ModelToolCall]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage), "the edge into this node asks for a model's message"
    return last.tool_calls


def _transfer(agent: Agent, call: ModelToolCall) -> Route:
    to = call["args"].get("to")
    if to not in agent.transfers:
        raise CallFailed(f"there is nobody {to!r} to transfer to; there are: {', '.join(agent.transfers) or 'none'}")
    return Route(to=to, why=f"{agent.name} transferred: {str(call['args'].get('why', ''))[:200]}")


def _transferred(assistant: Assistant, transfer: Route | None, update: Update) -> Update:
    if transfer is None:
        return update
    # Replaces the successor that an earlier flow of this turn named.
    turn = replace_turn(update["turn"], route=transfer, goes_on=None)
    if transfer["to"] in assistant.flows:
        return {**update, "turn": turn, "flow": initial_state(assistant.flows[transfer["to"]])}
    return {**update, "turn": turn, "agent": transfer["to"]}


async def _run(assistant: Assistant, agent: Agent, call: ModelToolCall, turn: TurnState, runner: ToolRunner) -> JSON:
    if call["name"] not in agent.tools:
        raise CallFailed(f"there is no tool {call['name']!r}; yours are: {', '.join(agent.tools) or 'none'}")
    tool, call_id, approval = assistant.tools[call["name"]], str(call["id"]), turn["approval"]
    if tool.approval and (approval is None or call_id not in approval["approved"]):
        fitting(tool, call["args"])
        reason = approval["refused"].get(call_id) if approval else None
        raise CallFailed(f"an operator did not approve it: {reason or 'no reason given'}")
    return await perform(tool, call_id, call["args"], runner)


def _message(call: ModelToolCall, text: str, status: str) -> ToolMessage:
    if len(text) > LONGEST_RESULT:
        text = f"{text[:LONGEST_RESULT]}… (cut: the result had {len(text)} characters)"
    return ToolMessage(text, tool_call_id=str(call["id"]), name=call["name"], status=status, id=f"result-{call['id']}")
