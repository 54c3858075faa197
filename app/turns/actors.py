"""The queue's entry into the turns."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import dramatiq
from dramatiq import Broker

from app.broker import RUN_TURNS, TURNS
from app.turns.engine import Engine


def declare(broker: Broker, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    """Declare the actor. It hands the conversations to the engine's loop and returns at once."""

    def run_turns(nudges: Sequence[tuple[str, str, float]]) -> None:
        parsed = [(UUID(tenant_id), UUID(conversation_id), due) for tenant_id, conversation_id, due in nudges]
        loop.call_soon_threadsafe(nudge_engine, parsed)

    def nudge_engine(nudges: Sequence[tuple[UUID, UUID, float]]) -> None:
        for tenant_id, conversation_id, due in nudges:
            engine.nudge(tenant_id, conversation_id, due)

    actor: dramatiq.Actor[..., None] = dramatiq.Actor(
        run_turns, broker=broker, actor_name=RUN_TURNS, queue_name=TURNS, priority=0, options={}
    )
    broker.declare_actor(actor)
