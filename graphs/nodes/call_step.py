"""Make a flow's tool call. A leg is committed before, so the flow's answers are durable."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.messages import ToolCall as ModelToolCall
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from graphs.config import Assistant, Flow
from graphs.context import Context
from graphs.edges import flow_node
from graphs.flows import arguments_of, step_after
from graphs.nodes.approve import approval_request, approved_arguments, refusal_of
from graphs.nodes.base import NodeWithRuntime
from graphs.nodes.handoff import ResumeValue, attributed
from graphs.sections import Call
from graphs.state import FlowState, State, TurnState, add_reply, replace_turn
from graphs.tool_calls import CallFailed, fitting, perform
from tools.ports import JSON, ToolRunner

CALLS = "calls made"
"""The field that counts a flow's calls. No text can refer to it."""


def make_call_step(assistant: Assistant) -> NodeWithRuntime[Command[str]]:
    """Return the node for the calls of all flows."""

    async def call_step(state: State, runtime: Runtime[Context]) -> Command[str]:
        at, turn = state["flow"], replace_turn(state["turn"], goes_on=None)
        assert at is not None, "the edge into this node asks for a flow"
        flow = assistant.flows[at["name"]]
        call = next(step.does for step in flow.steps if step.name == at["step"])
        assert isinstance(call, Call), "the flow stops here only at a call"
        made = at["fields"].get(CALLS, 0)
        fields = {**at["fields"], CALLS: made + 1}
        call_id = f"{flow.name}-{at['step']}-{made}"
        arguments: Mapping[str, Any] = arguments_of(call, assistant.tools[call.tool].parameters, at["fields"])
        heard: list[BaseMessage] = []
        try:
            if assistant.tools[call.tool].approval:
                # The replies and the usage before the interrupt are in the record of the turn that ended there.
                turn = replace_turn(turn, replies=[], usage=[])
                arguments, heard = _approved(assistant, call.tool, call_id, arguments)
            result = await _call_tool(assistant, call.tool, call_id, arguments, state, runtime.context.tools)
        except CallFailed as error:
            if call.on_error is None or error.unknown:
                # The call may have succeeded; continuing could repeat it.
                return _hand_over(f"flow {flow.name}: {call.tool} failed: {error}", add_reply(turn, assistant.apology))
            return _continue_at(flow, call.on_error, {**at, "fields": {**fields, "error": str(error)}}, turn, heard)
        kept = {call.into: result} if call.into else {}
        return _continue_at(flow, step_after(flow, at["step"]), {**at, "fields": {**fields, **kept}}, turn, heard)

    return call_step


def _approved(
    assistant: Assistant, tool: str, call_id: str, arguments: JSON
) -> tuple[Mapping[str, Any], list[BaseMessage]]:
    """Stop until an operator has decided. Return the approved arguments, and what was said meanwhile.

    Raises CallFailed when the call is refused. The node runs again from its start after the resume.
    """
    fitting(assistant.tools[tool], arguments)
    call = ModelToolCall(name=tool, args=dict(arguments), id=call_id)
    decision: ResumeValue = interrupt(approval_request(assistant, [call]))
    approved = approved_arguments(assistant, call, decision)
    if approved is None:
        raise CallFailed(f"an operator did not approve it: {refusal_of(decision)}")
    return approved, attributed(decision.get("said", ()))


async def _call_tool(
    assistant: Assistant, name: str, call_id: str, arguments: JSON, state: State, runner: ToolRunner
) -> JSON:
    result = await perform(assistant.tools[name], call_id, arguments, runner, verified=state.get("verified"))
    if isinstance(result, Mapping) and (refused := result.get("error")) is not None:
        # A model can read a refusal as a result. In a flow nobody reads it, so it is a failure.
        raise CallFailed(str(refused))
    return result


def _continue_at(
    flow: Flow, to: str | None, at: FlowState, turn: TurnState, heard: Sequence[BaseMessage]
) -> Command[Any]:
    said = {"messages": list(heard)} if heard else {}
    if to is None:
        return Command(goto=END, update={"turn": turn, "flow": None, **said})
    return Command(goto=flow_node(flow.name), update={"turn": turn, "flow": {**at, "step": to, "tries": -1}, **said})


def _hand_over(reason: str, turn: TurnState) -> Command[Any]:
    return Command(goto="handoff", update={"turn": replace_turn(turn, handoff=reason), "flow": None})
