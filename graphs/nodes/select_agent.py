"""Put the chosen agent in charge."""

from graphs.state import State, Update


async def select_agent(state: State) -> Update:
    """Set the agent that stays in charge until a later turn is routed to another one."""
    route = state["turn"]["route"]
    assert route is not None, "the router has always run before this node"
    return {"agent": route["to"]}
