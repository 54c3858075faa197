"""Status callbacks: verified, stored once, and never moving a message back."""

import itertools
import uuid
from typing import Any

import pytest

from tests.app.outbox import outbox_rows as rows
from tests.platform import ACCOUNT_SID, NUMBER, Log, Platform, tenant_manifest

RANK = {"unknown": 0, "sent": 1, "failed": 2, "delivered": 3, "read": 4}
OTHER_ACCOUNT, OTHER_NUMBER, OTHER_TOKEN = "AC" + "7" * 32, "whatsapp:+551140000007", "the-other-token"


@pytest.fixture
def platform(lasting_platform: Platform) -> Platform:
    return lasting_platform


@pytest.fixture
def sid() -> str:
    return f"SM{uuid.uuid4().hex}"


def callback(sid: str, status: str, **fields: str) -> list[tuple[str, str]]:
    plain = {
        "SmsSid": sid,
        "SmsStatus": status,
        "MessageStatus": status,
        "To": "whatsapp:+5511990000001",
        "MessageSid": sid,
        "AccountSid": ACCOUNT_SID,
        "From": NUMBER,
        "ApiVersion": "2010-04-01",
        "ChannelPrefix": "whatsapp",
        "EventType": status.upper(),
    }
    return list((plain | fields).items())


async def tell(platform: Platform, outbox_id: int | str, sid: str, status: str, **fields: str) -> int:
    answer = await platform.post(callback(sid, status, **fields), path=f"/api/v1/twilio/status?o={outbox_id}")
    return answer[0]


async def waiting_row(platform: Platform, **columns: Any) -> int:
    """A row whose post was never answered, and that no sweep will look up."""
    contact = f"whatsapp:+55{uuid.uuid4().int % 10**11:011}"
    (made,) = await rows.queue(
        platform,
        await rows.conversation(platform, contact),
        "oi",
        **{"status": "unknown", "attempts": 1, "attempted_at": platform.clock(), "due_at": rows.FAR, **columns},
    )
    return made


async def callbacks(platform: Platform, outbox_id: int) -> list[tuple[str, str]]:
    found = await platform.rows(
        "select status, error_code from status_callbacks where outbox_id = %(id)s order by id", id=outbox_id
    )
    return [(each["status"], each["error_code"]) for each in found]


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read", "failed"])), ids="-".join)
async def test_in_whatever_order_they_come_the_furthest_counts(
    platform: Platform, sid: str, order: tuple[str, ...]
) -> None:
    outbox_id = await waiting_row(platform)
    furthest = "unknown"
    for status in order:
        assert await tell(platform, outbox_id, sid, status, ErrorCode="63016" if status == "failed" else "") == 200
        furthest = max(furthest, status, key=lambda each: RANK[each])
        found = await rows.row(platform, outbox_id)
        assert (found["status"], found["provider_sid"]) == (furthest, sid)
        assert found["error_code"] == ("63016" if furthest == "failed" else None)
    assert [status for status, _ in await callbacks(platform, outbox_id)] == list(order)


async def test_a_duplicate_is_stored_once(platform: Platform, sid: str) -> None:
    outbox_id = await waiting_row(platform)
    for status, code in [("sent", ""), ("sent", ""), ("failed", "63016"), ("failed", "63016"), ("failed", "30008")]:
        assert await tell(platform, outbox_id, sid, status, ErrorCode=code) == 200
    assert await callbacks(platform, outbox_id) == [("sent", ""), ("failed", "63016"), ("failed", "30008")]
    found = await rows.row(platform, outbox_id)
    assert (found["status"], found["error_code"]) == ("failed", "63016")


async def test_an_unknown_row_learns_its_sid_and_needs_no_look_up(platform: Platform, sid: str) -> None:
    outbox_id = await waiting_row(platform, parked_at=platform.clock(), due_at=None, owner=1)
    assert await tell(platform, outbox_id, sid, "queued") == 200
    found = await rows.row(platform, outbox_id)
    assert (found["status"], found["provider_sid"]) == ("sent", sid)
    assert (found["parked_at"], found["due_at"], found["owner"]) == (None, None, None)


async def test_a_callback_about_another_message_does_not_move_the_row(platform: Platform, sid: str) -> None:
    bound = f"SM{uuid.uuid4().hex}"
    outbox_id = await waiting_row(platform, status="sent", provider_sid=bound, due_at=None)
    assert await tell(platform, outbox_id, sid, "failed", ErrorCode="63016") == 200
    found = await rows.row(platform, outbox_id)
    assert (found["status"], found["provider_sid"], found["error_code"]) == ("sent", bound, None)


async def test_a_sid_of_another_row_breaks_nothing(platform: Platform, sid: str) -> None:
    """Two equal texts, both unanswered: the look-up cannot tell them apart, and the callback may come after it."""
    other = await waiting_row(platform, status="sent", provider_sid=sid, due_at=None)
    outbox_id = await waiting_row(platform)
    assert await tell(platform, outbox_id, sid, "delivered") == 200
    assert "failed" not in await rows.statuses(platform, outbox_id, other)


async def test_a_row_that_is_not_there_is_logged_and_forgotten(platform: Platform, sid: str, log: Log) -> None:
    before = await platform.row("select count(*) from status_callbacks")
    for outbox_id in (0, 10**15, 10**18 - 1):
        log.clear()
        assert await tell(platform, outbox_id, sid, "delivered") == 200
        (line,) = log.lines
        assert (line["event"], line["outbox_id"]) == ("status callback for no row of ours", outbox_id)
    assert await platform.row("select count(*) from status_callbacks") == before


async def test_another_tenants_row_is_out_of_reach(platform: Platform, sid: str) -> None:
    await platform.publish("outra", tenant_manifest().files)
    await platform.add_channel("outra", OTHER_NUMBER, OTHER_ACCOUNT, OTHER_TOKEN)
    outbox_id = await waiting_row(platform)
    theirs = callback(sid, "failed", AccountSid=OTHER_ACCOUNT, From=OTHER_NUMBER)
    answer = await platform.post(theirs, path=f"/api/v1/twilio/status?o={outbox_id}", token=OTHER_TOKEN)
    assert answer[0] == 200
    found = await rows.row(platform, outbox_id)
    assert (found["status"], found["provider_sid"]) == ("unknown", None)
    assert await callbacks(platform, outbox_id) == []


async def test_a_changed_id_in_the_query_does_not_verify(platform: Platform, sid: str) -> None:
    mine, another = await waiting_row(platform), await waiting_row(platform)
    parameters, path = callback(sid, "delivered"), "/api/v1/twilio/status?o="
    url = platform.settings.public_url
    status, _ = await platform.post(parameters, path=f"{path}{another}", signed=f"{url}{path}{mine}#")
    assert status == 403
    assert await rows.statuses(platform, mine, another) == ["unknown", "unknown"]


async def test_the_last_of_two_ids_counts(platform: Platform, sid: str) -> None:
    mine, another = await waiting_row(platform), await waiting_row(platform)
    assert await tell(platform, f"{another}&o={mine}", sid, "delivered") == 200
    assert await rows.statuses(platform, mine, another) == ["delivered", "unknown"]


async def test_a_failure_is_logged_with_its_code_and_without_the_text(platform: Platform, sid: str, log: Log) -> None:
    outbox_id = await waiting_row(platform)
    await tell(platform, outbox_id, sid, "undelivered", ErrorCode="63016", ErrorMessage="segredo", Body="segredo")
    (line,) = log.lines
    assert (line["outbox_id"], line["error_code"]) == (outbox_id, "63016")
    assert "segredo" not in log.text


async def test_twilio_tells_of_a_reply_until_it_is_read(platform: Platform) -> None:
    contact = "whatsapp:+5511977777777"
    await platform.say("oi", contact=contact)
    await platform.nudge()
    await platform.replies(1, contact)
    (reply,) = await platform.rows(
        """select o.id from outbox o join conversations v on v.id = o.conversation_id
           join contacts c on c.id = v.contact_id where c.address = %(contact)s""",
        contact=contact,
    )
    delivered = await rows.until(platform, reply["id"], "delivered")
    await platform.control(platform.servers.twilio, "read", {"sids": [delivered["provider_sid"]]})
    await rows.until(platform, reply["id"], "read")
    assert await callbacks(platform, reply["id"]) == [("sent", ""), ("delivered", ""), ("read", "")]
