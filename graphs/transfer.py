"""Transfer the contact to another agent or to a flow, by a tool that only changes the state."""

from typing import Any

from graphs.config import Agent, Assistant, Flow

TRANSFER = "transfer"


def declaration(assistant: Assistant, agent: Agent) -> dict[str, Any]:
    """Return the declaration of the transfer tool. The agent must have a target."""
    described: dict[str, Agent | Flow] = {**assistant.agents, **assistant.flows}
    others = "\n".join(f"- {name}: {described[name].description}" for name in agent.transfers)
    parameters = {
        "type": "object",
        "properties": {
            "to": {"type": "string", "enum": list(agent.transfers), "description": f"Who goes on:\n{others}"},
            "why": {"type": "string", "description": "Why, in a few words."},
        },
        "required": ["to", "why"],
    }
    # The others are described with the parameter: a tool's own description has at most 1024 characters at OpenAI.
    description = "Hands the contact over when somebody else is the right one. Say nothing before it."
    return {
        "type": "function",
        "function": {"name": TRANSFER, "description": description, "parameters": parameters},
    }
