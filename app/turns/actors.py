"""The queue's entry into the turns."""

import asyncio
from uuid import UUID

import dramatiq
from dramatiq import Broker

from app.broker import RUN_TURN, TURNS
from app.turns.engine import Engine


def declare(broker: Broker, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    """Declares the actor. It hands the conversation to the engine's loop and returns: Postgres is the truth."""

    def run_turn(tenant_id: str, conversation_id: str, due: float) -> None:
        loop.call_soon_threadsafe(engine.nudge, UUID(tenant_id), UUID(conversation_id), due)

    actor: dramatiq.Actor[..., None] = dramatiq.Actor(
        run_turn, broker=broker, actor_name=RUN_TURN, queue_name=TURNS, priority=0, options={}
    )
    broker.declare_actor(actor)
