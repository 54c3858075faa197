"""Take a conversation over from the assistant, with the time limit that its manifest sets."""

from uuid import UUID

from app.assistants.service import Assistants
from app.clock import Clock
from app.conversations import commands
from app.conversations.queries import version_of
from app.db import Database
from app.errors import ConflictError
from manifest.loader import InvalidFiles


async def take_over(
    system: Database, assistants: Assistants, conversation_id: UUID, operator: str, clock: Clock
) -> None:
    """Give the conversation to an operator. Its `expire` counts from now. Raises ConflictError."""
    async with system.statement() as tx:
        found = await version_of(tx, conversation_id)
    if found is None:
        raise ConflictError(f"conversation {conversation_id} is not open")
    expire = None
    if found.version_id is not None:
        try:
            version = await assistants.version(found.tenant_id, found.version_id)
            expire = version.assistant.lifecycle.expire
        except InvalidFiles:
            # A manifest that no longer loads must not keep an operator from helping.
            expire = None
    await commands.take_over(system, conversation_id, operator, clock, expire=expire)
