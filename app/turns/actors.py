"""The queue's entry into the turns."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import dramatiq
from dramatiq import Broker

from app.broker import RUN_TURNS, TURNS
from app.turns.engine import Engine


def declare(broker: Broker, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    """Declares the actor. It hands the conversations to the engine's loop and returns: Postgres is the truth."""

    def run_turns(nudges: Sequence[tuple[str, str, float]]) -> None:
        found = [(UUID(tenant_id), UUID(conversation_id), due) for tenant_id, conversation_id, due in nudges]
        loop.call_soon_threadsafe(hand_over, found)

    def hand_over(found: Sequence[tuple[UUID, UUID, float]]) -> None:
        for tenant_id, conversation_id, due in found:
            engine.nudge(tenant_id, conversation_id, due)

    actor: dramatiq.Actor[..., None] = dramatiq.Actor(
        run_turns, broker=broker, actor_name=RUN_TURNS, queue_name=TURNS, priority=0, options={}
    )
    broker.declare_actor(actor)
