"""Make one tool call: validate the arguments, then run the tool as its effects demand."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import ToolCall as ModelToolCall

from tools.base import InvalidArguments, Tool
from tools.ports import JSON, OutcomeUnknown, ToolCall, ToolContext, ToolFailed, ToolRunner


class CallFailed(Exception):
    """A call without a result. The text is for the model. `unknown`: the call may have succeeded."""

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown


def needs_approval(tools: Mapping[str, Tool], own: Collection[str], call: ModelToolCall) -> bool:
    """Return whether the call needs an operator's approval.

    Calls that would fail anyway need none: those of tools that the agent does not have (`own` are its tools), and
    those with invalid arguments.
    """
    tool = tools.get(call["name"])
    if tool is None or not tool.approval or call["name"] not in own:
        return False
    try:
        fitting(tool, call["args"])
    except CallFailed:
        return False
    return True


def fitting(tool: Tool, arguments: JSON) -> Any:
    """Return the arguments as the tool takes them. Raises CallFailed."""
    try:
        return tool.parse(arguments)
    except InvalidArguments as error:
        raise CallFailed(f"the arguments do not fit: {error}") from None


async def perform(
    tool: Tool,
    call_id: str,
    arguments: JSON,
    runner: ToolRunner,
    *,
    one_of_several: bool = False,
    verified: Mapping[str, str] | None = None,
) -> JSON:
    """Return the tool's result. Raises CallFailed.

    `one_of_several`: the model's answer has more calls. `verified` are the values that flows have kept.
    """
    parsed = fitting(tool, arguments)

    async def effect(context: ToolContext) -> JSON:
        return await tool.run(replace(context, granted=tool.needs), parsed)

    call = ToolCall(call_id, tool.name, arguments, tool.secrets, one_of_several, tool.trusted, verified or {})
    try:
        if tool.remote and tool.effects == "write":
            return await runner.write_remote(call, effect, idempotent=tool.idempotent)
        if tool.remote:
            return await runner.read_remote(call, effect)
        if tool.effects == "write":
            return await runner.write_once(call, effect)
        return await runner.read(call, effect)
    except OutcomeUnknown:
        reason = f"it is not known whether {tool.name} was done: do not call it again, and do not say that it was"
        raise CallFailed(reason, unknown=True) from None
    except ToolFailed as error:
        raise CallFailed(error.model_message or "the tool is out of order") from None
