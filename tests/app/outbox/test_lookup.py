"""Which of Twilio's messages a row has posted, whatever a failover did to the time."""

from datetime import timedelta

import pytest

from app.channels.base import ListedMessage
from app.outbox.lookup import match_listed


def listed(sid: str, seconds: float, *, same_text: bool = True) -> ListedMessage:
    """Return a message that is so many seconds old."""
    return ListedMessage(sid, same_text, timedelta(seconds=seconds))


@pytest.mark.parametrize("elapsed", [400, 100, 0, -300])
def test_a_message_is_found_when_postgres_is_behind(elapsed: float) -> None:
    """The attempt was 400 s ago. After a failover the clock may say something else."""
    assert match_listed(7, [listed("SM1", 400)], {}, timedelta(seconds=elapsed)) == "SM1"


def test_an_old_message_with_the_same_text_is_another_one() -> None:
    assert match_listed(7, [listed("SM1", 3600)], {}, timedelta(seconds=20)) is None


def test_a_message_of_another_row_is_not_taken() -> None:
    messages = [listed("SM2", 5), listed("SM1", 10)]
    assert match_listed(7, messages, {"SM2": 8, "SM1": 6}, timedelta(seconds=400)) is None


def test_what_is_older_than_an_earlier_row_is_another() -> None:
    messages = [listed("SM2", 10, same_text=False), listed("SM1", 20)]
    assert match_listed(7, messages, {"SM2": 6}, timedelta(seconds=400)) is None
    assert match_listed(7, messages, {"SM2": 8}, timedelta(seconds=400)) == "SM1"
