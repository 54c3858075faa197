"""The checkpointed state. Bounded: older messages are in the inbox and the outbox only."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage, BaseMessage
from langgraph.graph.message import add_messages

Event = Literal["message", "reminder", "idle"]

CALL = "a call"
"""The successor of a flow whose next step is a tool call. No agent can have this name."""


class Route(TypedDict):
    """The router's target, and the reason."""

    to: str
    why: str


class Usage(TypedDict):
    """One model call. Token counts are None when the provider did not report them.

    `agent` is None for the router. `cost` is an amount with its currency, if the manifest has the price.
    """

    model: str
    input_tokens: int | None
    output_tokens: int | None
    agent: NotRequired[str | None]
    cost: NotRequired[str | None]


class Reply(TypedDict):
    """A reply to the contact."""

    author: Literal["assistant", "operator"]
    body: str


class Attachment(TypedDict):
    """What a contact's message has besides text.

    `kind` is image, audio, video, sticker, file, contact or location. A location has `latitude`, `longitude`, and
    perhaps `label` and `address`; the others have `url` and `content_type`.
    """

    kind: str
    content: dict[str, str]


class FlowState(TypedDict):
    """The position of a flow: the step that waits, the fields so far, and the invalid answers to the step."""

    name: str
    step: str
    fields: dict[str, Any]
    tries: int


class Approval(TypedDict):
    """An operator's decision about calls: the approved ids, and the refused ids with the reason."""

    approved: list[str]
    refused: dict[str, str]


class TurnState(TypedDict):
    """The state of one turn. The turn's input creates it; it is durable so that another worker can continue the turn.

    `said` is what the contact wrote, without words for what is no text. `button` is the pressed button's id, and
    `attachments` are media and places. `handoff` is the reason for a handoff. `approval` is an operator's
    decision in this turn, and `heard` what was said before it. `goes_on` is the successor of a flow: an agent, the
    close, or CALL. `rating` is the contact's rating. `problem` is what operators should know of the turn.
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
    problem: NotRequired[str]
    attachments: NotRequired[list[Attachment]]


class State(TypedDict):
    """The state of a conversation.

    `csat`: the contact was asked for a rating, or declined it by writing something else. `verified` are the values that
    flows have kept for tools.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    agent: str | None
    flow: NotRequired[FlowState | None]
    csat: NotRequired[Literal["asked", "declined"] | None]
    verified: NotRequired[dict[str, str]]
    turn: TurnState


class Update(TypedDict, total=False):
    """The update that a node returns."""

    messages: Sequence[BaseMessage]
    agent: str | None
    flow: FlowState | None
    csat: Literal["asked", "declined"]
    verified: dict[str, str]
    turn: TurnState


def new_turn(
    event: Event = "message", said: str = "", button: str | None = None, attachments: Sequence[Attachment] = ()
) -> TurnState:
    """Return the state of a turn that starts."""
    turn = TurnState(
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
    # Most messages have none, and what a turn holds is written with each checkpoint.
    return {**turn, "attachments": list(attachments)} if attachments else turn


def replace_turn(turn: TurnState, **changes: Any) -> TurnState:
    """Return the turn with some fields replaced."""
    return {**turn, **changes}  # type: ignore[typeddict-item]


def add_reply(turn: TurnState, body: str | None, author: Literal["assistant", "operator"] = "assistant") -> TurnState:
    """Return the turn with one more reply, if the text is not empty."""
    return replace_turn(turn, replies=[*turn["replies"], Reply(author=author, body=body)]) if body else turn
