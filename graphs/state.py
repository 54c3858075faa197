"""What is checkpointed between legs and turns. Bounded: older messages live in the inbox and the outbox."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage, BaseMessage
from langgraph.graph.message import add_messages

Event = Literal["message", "reminder", "idle"]

CALL = "a call"
"""Who goes on after a flow whose next step is a tool call: no agent has such a name."""


class Route(TypedDict):
    """Where the router sent the turn, and why."""

    to: str
    why: str


class Usage(TypedDict):
    """One model call. Token counts are None when the provider did not tell.

    `agent` is None for the router's; `cost` is an amount and its currency, when the tenant's YAML has the price.
    """

    model: str
    input_tokens: int | None
    output_tokens: int | None
    agent: NotRequired[str | None]
    cost: NotRequired[str | None]


class Reply(TypedDict):
    """Something to be said to the contact."""

    author: Literal["assistant", "operator"]
    body: str


class FlowState(TypedDict):
    """Where a flow stands: the step that waits for an answer, what it has been told, and its failed tries."""

    name: str
    step: str
    fields: dict[str, Any]
    tries: int


class Approval(TypedDict):
    """What an operator decided about the calls that wait: refused ones by id, with the reason."""

    approved: list[str]
    refused: dict[str, str]


class TurnState(TypedDict):
    """What one turn works with. Made new by every turn's input; durable so that a killed turn goes on.

    `said` and `button` are the contact's words of this turn; `handoff` is why a human is needed, if one is.
    `approval` is what an operator decided within this turn, and `heard` what was said until then; `goes_on` is who goes
    on after a flow: an agent, the close, or CALL. `rating` is what the contact has rated the conversation with.
    """

    event: Event
    said: str
    button: str | None
    route: Route | None
    replies: list[Reply]
    usage: list[Usage]
    tool_failures: int
    handoff: str | None
    approval: Approval | None
    heard: list[AnyMessage]
    goes_on: str | None
    closed: bool
    rating: NotRequired[int | None]


class State(TypedDict):
    """The whole state of a conversation. `csat`: the contact was asked to rate it, and may have gone on instead."""

    messages: Annotated[list[AnyMessage], add_messages]
    agent: str | None
    flow: NotRequired[FlowState | None]
    csat: NotRequired[Literal["asked", "declined"] | None]
    turn: TurnState


class Update(TypedDict, total=False):
    """What a node may change."""

    messages: Sequence[BaseMessage]
    agent: str | None
    flow: FlowState | None
    csat: Literal["asked", "declined"]
    turn: TurnState


def new_turn(event: Event = "message", said: str = "", button: str | None = None) -> TurnState:
    """A turn that has done nothing yet."""
    return TurnState(
        event=event,
        said=said,
        button=button,
        route=None,
        replies=[],
        usage=[],
        tool_failures=0,
        handoff=None,
        approval=None,
        heard=[],
        goes_on=None,
        closed=False,
    )


def changed(turn: TurnState, **changes: Any) -> TurnState:
    """The turn with some of its fields replaced."""
    return {**turn, **changes}  # type: ignore[typeddict-item]


def saying(turn: TurnState, body: str | None, author: Literal["assistant", "operator"] = "assistant") -> TurnState:
    """The turn with one more reply, if there is anything to say."""
    return changed(turn, replies=[*turn["replies"], Reply(author=author, body=body)]) if body else turn
