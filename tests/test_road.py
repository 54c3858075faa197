"""The whole way of one message, through the doors that Twilio uses."""

from tests.platform import Platform


async def test_a_message_is_answered(platform: Platform) -> None:
    await platform.say("oi")
    assert await platform.replies(1) == ["eco: oi"]
    inbox = await platform.row("select disposition, turn from inbox")
    assert inbox == {"disposition": "answered", "turn": 1}


async def test_the_way_of_a_booking(platform: Platform) -> None:
    await platform.say("quero marcar agora")
    (reply,) = await platform.replies(1)
    booked = await platform.row("select calendar, patient from appointments")
    assert booked == {"calendar": "sala", "patient": "Maria da Silva"}
    assert reply.startswith("marcado sala@")
