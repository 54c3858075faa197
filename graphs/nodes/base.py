"""The shapes of a node."""

from collections.abc import Awaitable
from typing import Protocol

from langgraph.runtime import Runtime

from graphs.context import Context
from graphs.state import State


class Node[Result](Protocol):
    """A node that needs the state only."""

    def __call__(self, state: State) -> Awaitable[Result]:
        """What changes."""
        ...


class NodeWithRuntime[Result](Protocol):
    """A node that needs the turn's context, too."""

    def __call__(self, state: State, *, runtime: Runtime[Context]) -> Awaitable[Result]:
        """What changes."""
        ...
