"""The types of nodes."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Protocol

from langgraph.runtime import Runtime

from graphs.context import Context
from graphs.state import State


class Node[Result](Protocol):
    """A node that takes the state."""

    def __call__(self, state: State) -> Awaitable[Result]:
        """Return the update."""
        ...


class NodeWithRuntime[Result](Protocol):
    """A node that takes the state and the turn's context."""

    def __call__(self, state: State, *, runtime: Runtime[Context]) -> Awaitable[Result]:
        """Return the update."""
        ...


def inject_context[R](node: NodeWithRuntime[R], context: Callable[[], Context] | None) -> NodeWithRuntime[R]:
    """Return the node with a context for callers that cannot pass one."""
    if context is None:
        return node

    @wraps(node)
    async def with_context(state: State, *, runtime: Runtime[Context]) -> R:
        return await node(state, runtime=runtime.override(context=context()))

    return with_context
