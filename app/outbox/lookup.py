"""Decide which of the provider's messages is the one that a row posted, without comparing two machines' clocks."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from app.channels.base import ListedMessage

MARGIN = timedelta(minutes=15)
"""How much older than the row's attempt a message may be. Allows for a failover to a Postgres whose clock is behind.

A message that no row knows, with the same text to the same contact, is taken for the row's: better than to send twice.
"""


def match_listed(
    row_id: int, listed: Sequence[ListedMessage], rows: Mapping[str, int], elapsed: timedelta
) -> str | None:
    """Return the provider's id of the message that the row posted, or None if the provider has none.

    `rows` maps the ids that are known to their rows. A message of another row is excluded. So is a message that is
    older than one of an earlier row of this contact: rows are posted in order, so it existed before this attempt.
    `elapsed` is the time since the attempt by our clock, and a message's age is a time by the provider's clock.
    """
    earlier = [message.age for message in listed if rows.get(message.provider_sid, row_id) < row_id]
    oldest = min([*earlier, elapsed + MARGIN])
    own = [message for message in listed if rows.get(message.provider_sid) == row_id]
    free = [message for message in listed if message.same_text and message.provider_sid not in rows]
    candidates = own or [message for message in free if message.age <= oldest]
    return candidates[-1].provider_sid if candidates else None
