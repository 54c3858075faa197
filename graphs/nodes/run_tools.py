"""Runs the tools that the model called. A leg was committed just before, so every call's id is durable."""

import json

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.messages import ToolCall as ModelToolCall
from langgraph.runtime import Runtime

from graphs.config import Agent, Assistant
from graphs.context import Context
from graphs.nodes.base import NodeWithRuntime
from graphs.state import State, Update, changed, saying
from tools.base import InvalidArguments
from tools.context import JSON, ToolBroke, ToolCall, ToolContext, ToolRunner
from tools.registry import BUILTIN

LONGEST_RESULT = 8_000
"""Characters of a tool's result that a model gets to see."""


class _Failed(Exception):
    """The call could not be made. The text tells the model why."""


def make_run_tools(assistant: Assistant) -> NodeWithRuntime[Update]:
    """The node. An agent's calls reach its own tools only, whatever its model was talked into."""

    async def run_tools(state: State, runtime: Runtime[Context]) -> Update:
        turn = state["turn"]
        agent = assistant.agents[str(state["agent"])]
        last = state["messages"][-1]
        assert isinstance(last, AIMessage), "the edge into this node asks for a model's message"
        results: list[ToolMessage] = []
        for call in last.tool_calls:
            try:
                result = await _run(agent, call, runtime.context.tools)
            except _Failed as error:
                turn = changed(turn, tool_failures=turn["tool_failures"] + 1)
                results.append(_message(call, str(error), "error"))
                continue
            if BUILTIN[call["name"]].effects == "handoff":
                turn = changed(turn, handoff=str(call["args"].get("reason", "the agent asked for a human")))
            results.append(_message(call, json.dumps(result, ensure_ascii=False), "success"))
        if turn["handoff"] is None and turn["tool_failures"] >= assistant.handoff.tool_failures:
            turn = changed(saying(turn, assistant.apology), handoff="tools failed too often")
        return {"messages": results, "turn": turn}

    return run_tools


async def _run(agent: Agent, call: ModelToolCall, runner: ToolRunner) -> JSON:
    if call["name"] not in agent.tools:
        raise _Failed(f"there is no tool {call['name']!r}; yours are: {', '.join(agent.tools) or 'none'}")
    tool = BUILTIN[call["name"]]
    try:
        arguments = tool.parse(call["args"])
    except InvalidArguments as error:
        raise _Failed(f"the arguments do not fit: {error}") from None

    async def effect(context: ToolContext) -> JSON:
        return await tool.run(context, arguments)

    try:
        if tool.effects == "write":
            return await runner.write_once(ToolCall(str(call["id"]), tool.name, call["args"]), effect)
        return await runner.read(effect)
    except ToolBroke:
        raise _Failed("the tool is out of order") from None


def _message(call: ModelToolCall, text: str, status: str) -> ToolMessage:
    if len(text) > LONGEST_RESULT:
        text = f"{text[:LONGEST_RESULT]}… (cut: the result had {len(text)} characters)"
    return ToolMessage(text, tool_call_id=str(call["id"]), name=call["name"], status=status, id=f"result-{call['id']}")
