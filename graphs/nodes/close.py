"""Ends the conversation."""

from collections.abc import Awaitable, Callable

from graphs.config import Assistant
from graphs.state import State, Update, changed, saying


def make_close(assistant: Assistant) -> Callable[[State], Awaitable[Update]]:
    """The node. The next message of the contact opens a new conversation."""

    async def close(state: State) -> Update:
        return {"turn": changed(saying(state["turn"], assistant.lifecycle.goodbye), closed=True)}

    return close
