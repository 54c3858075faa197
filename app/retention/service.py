"""Keep the tables small: what is not needed any more is erased in small batches."""

from datetime import datetime

from app.db import Database
from app.retention.usage_copy import copy_usage

COPIED_AT_ONCE = 200
"""Turns whose usage one statement copies."""


async def keep_up(system: Database, now: datetime) -> bool:
    """Do one batch of each kind of upkeep. Return whether there may be more to do."""
    async with system.statement() as tx:
        return await copy_usage(tx, COPIED_AT_ONCE) == COPIED_AT_ONCE
