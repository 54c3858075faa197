"""The shapes of a node."""

from collections.abc import Awaitable, Callable
from functools import wraps
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


def given[R](node: NodeWithRuntime[R], context: Callable[[], Context] | None) -> NodeWithRuntime[R]:
    """The node with a context that is made where whoever runs the graph cannot pass one."""
    if context is None:
        return node

    @wraps(node)
    async def with_context(state: State, *, runtime: Runtime[Context]) -> R:
        return await node(state, runtime=runtime.override(context=context()))

    return with_context
