"""Run the tools that the model called. A leg is committed before, so every call's id is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.messages import ToolCall as ModelToolCall
from langgraph.runtime import Runtime

from graphs.config import Agent, Assistant
from graphs.context import Context
from graphs.flows import initial_state
from graphs.model_text import is_call, spoken_text
from graphs.nodes.base import NodeWithRuntime
from graphs.reply_text import for_whatsapp
from graphs.state import Route, State, Update, add_reply, replace_turn
from graphs.tool_calls import CallFailed, fitting, perform
from graphs.transfer import TRANSFER
from tools.base import Tool
from tools.kinds.result_shortening import json_text, shorten
from tools.ports import JSON, ToolRunner

LONGEST_FAILURE = 8_000
"""The number of characters of a failure's reason that a model reads."""

LONGEST_REASON = 500

READS_AT_ONCE = 4
"""The number of calls of one answer that run at the same time."""


Run = Callable[[ModelToolCall, bool], Awaitable[JSON]]
"""Runs a call. The flag says whether it is one of several of the answer."""


@dataclass(frozen=True)
class CallOutcome:
    """A call with its result, or with the reason why it has none. `transfer` is set by the transfer tool.

    `unknown`: the agent has no tool of this name. `limit` is the number of characters of the result that the model
    reads.
    """

    call: ModelToolCall
    result: JSON | None = None
    limit: int = Tool.result_limit
    failure: str | None = None
    transfer: Route | None = None
    unknown: bool = False

    @property
    def message(self) -> ToolMessage:
        """The result as the model reads it."""
        if self.failure is not None:
            return _message(self.call, shorten(self.failure, LONGEST_FAILURE)[0], "error")
        result, note = shorten(self.result, self.limit)
        return _message(self.call, json_text(result if note is None else {**result, "cut": note}), "success")


def make_run_tools(assistant: Assistant) -> NodeWithRuntime[Update]:
    """Return the node. An agent can call only its own tools."""

    async def run_tools(state: State, runtime: Runtime[Context]) -> Update:
        turn = state["turn"]
        agent = assistant.agents[str(state["agent"])]
        run = partial(_run, assistant, state, runtime.context.tools)
        outcomes = await _run_calls(assistant, agent, _calls(state), run)
        # A name that is no tool's is the model's slip: it reads the right names, and calls again.
        failed = [outcome for outcome in outcomes if outcome.failure is not None and not outcome.unknown]
        failures = [f"{outcome.call['name']}: {outcome.failure}" for outcome in failed]
        turn = replace_turn(turn, tool_failures=turn["tool_failures"] + len(failures))
        for outcome in outcomes:
            tool = assistant.tools.get(outcome.call["name"])
            if outcome.failure is None and tool is not None and tool.effects == "handoff":
                # Another call of the answer may hand over, too. The words are said once.
                turn = turn if turn["handoff"] else add_reply(turn, _words(state, agent))
                turn = replace_turn(turn, handoff=_reason(outcome.call))
        if turn["handoff"] is None and turn["tool_failures"] >= assistant.handoff.triggers.tool_failures:
            last = failures[-1] if failures else ""
            turn = replace_turn(
                add_reply(turn, assistant.apology), handoff=f"tools failed too often, at last {last}"[:300]
            )
        messages = [*(outcome.message for outcome in outcomes), *turn["heard"]]
        turn = replace_turn(turn, approval=None, heard=[])
        transfer = next((outcome.transfer for outcome in reversed(outcomes) if outcome.transfer), None)
        return _transferred(assistant, transfer, {"messages": messages, "turn": turn})

    return run_tools


async def _run_calls(assistant: Assistant, agent: Agent, calls: Sequence[ModelToolCall], run: Run) -> list[CallOutcome]:
    """Return the outcomes, in the order of the calls. Reads that stand next to each other run at the same time.

    A write waits for the calls before it, because the model may have meant it so.
    """
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def outcome(call: ModelToolCall) -> CallOutcome:
        try:
            if call["name"] == TRANSFER:
                transfer = _transfer(agent, call)
                return CallOutcome(call, {"status": f"{transfer['to']} goes on from here"}, transfer=transfer)
            if call["name"] not in agent.tools:
                return CallOutcome(call, failure=_no_such_tool(agent, call), unknown=True)
            async with slots:
                result = await run(call, len(calls) > 1)
                return CallOutcome(call, result, limit=assistant.tools[call["name"]].result_limit)
        except CallFailed as error:
            return CallOutcome(call, failure=str(error))

    def reads(call: ModelToolCall) -> bool:
        tool = assistant.tools.get(call["name"])
        return tool is not None and tool.effects == "read"

    outcomes: list[CallOutcome] = []
    for read, group in groupby(calls, reads):
        if read:
            outcomes += await _gather([outcome(call) for call in group])
        else:
            outcomes += [await outcome(call) for call in group]
    return outcomes


async def _gather(runs: Sequence[Coroutine[Any, Any, CallOutcome]]) -> list[CallOutcome]:
    """Return the outcomes. If a run raises, the others are cancelled before it is raised."""
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reason(call: ModelToolCall) -> str:
    """Return what operators see of a call that hands over: its reason, or else its arguments."""
    arguments = call["args"]
    named = "; ".join(f"{name}: {value}" for name, value in arguments.items())
    return str(arguments.get("reason") or named or "the agent asked for a human")[:LONGEST_REASON]


def _words(state: State, agent: Agent) -> str:
    """Return what the model says beside its calls. Before a handoff nobody else says it."""
    words = spoken_text(state["messages"][-1].text)
    # Some models write a call out, and make it as well.
    return "" if is_call(words, agent.tools) else for_whatsapp(words)


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


def _no_such_tool(agent: Agent, call: ModelToolCall) -> str:
    """Return what the model is told of a call that names no tool of its own.

    A name with noise around it, such as `functions.request_human`, is not taken for the tool: what is written or handed
    over on a guess cannot be taken back, and the model corrects itself for the price of one call.
    """
    return f"there is no tool {call['name']!r}; yours are: {', '.join(agent.tools) or 'none'}"


async def _run(
    assistant: Assistant, state: State, runner: ToolRunner, call: ModelToolCall, one_of_several: bool
) -> JSON:
    tool, call_id, approval = assistant.tools[call["name"]], str(call["id"]), state["turn"]["approval"]
    if tool.approval and (approval is None or call_id not in approval["approved"]):
        fitting(tool, call["args"])
        reason = approval["refused"].get(call_id) if approval else None
        raise CallFailed(f"an operator did not approve it: {reason or 'no reason given'}")
    verified = state.get("verified")
    return await perform(tool, call_id, call["args"], runner, one_of_several=one_of_several, verified=verified)


def _message(call: ModelToolCall, text: str, status: str) -> ToolMessage:
    return ToolMessage(text, tool_call_id=str(call["id"]), name=call["name"], status=status, id=f"result-{call['id']}")
