"""What becomes of a post at Twilio: certainly there, certainly not, refused for good, or nobody knows."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest

from app.channels.base import (
    Accepted,
    Credentials,
    ListedMessage,
    LookupFailed,
    NotSent,
    OutgoingMessage,
    Refused,
    SendResult,
    Unauthorized,
    Unknown,
)
from app.channels.whatsapp.outbound import TwilioGateway
from app.clock import utc_now
from tests.app.channels.scripted_twilio import DROP, HANG, ScriptedAnswer, ScriptedTwilio, refused, scripted_twilio
from tests.platform import Log
from tests.shared_threads import SharedThreads

CREDENTIALS = Credentials("AC" + "0" * 31 + "1", "the-token-of-the-account")
MESSAGE = OutgoingMessage(41, CREDENTIALS, "whatsapp:+551140000001", "whatsapp:+5511990000001", "Olá & até já! 👋\n+1")
CALLBACK = "https://bot.example.com/api/v1/twilio/status"
NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def twilio() -> AsyncIterator[ScriptedTwilio]:
    async with scripted_twilio() as running:
        yield running


@asynccontextmanager
async def gateway(address: str, timeout: float = 5.0) -> AsyncIterator[TwilioGateway]:
    made = TwilioGateway(api_url=address, callback_url=CALLBACK, timeout=timeout, clock=utc_now)
    try:
        yield made
    finally:
        await made.close()


async def sent(twilio: ScriptedTwilio, answer: ScriptedAnswer, timeout: float = 5.0) -> SendResult:
    twilio.answers.append(answer)
    async with gateway(twilio.address, timeout) as made:
        return await made.send(MESSAGE)


async def found(twilio: ScriptedTwilio, *messages: dict[str, Any]) -> list[ListedMessage]:
    twilio.listing = ScriptedAnswer(
        200, {"messages": messages, "page_size": 200}, {"Date": format_datetime(NOW, usegmt=True)}
    )
    async with gateway(twilio.address) as made:
        return await made.find(MESSAGE)


async def same_text(twilio: ScriptedTwilio, *messages: dict[str, Any]) -> list[str]:
    return [message.provider_sid for message in await found(twilio, *messages) if message.same_text]


def moved(by: timedelta) -> datetime:
    return datetime.now(UTC) + by


def listed(sid: str, body: str | None = MESSAGE.body, after: float = 1) -> dict[str, Any]:
    return {"sid": sid, "body": body, "date_created": format_datetime(NOW + timedelta(seconds=after))}


class TestSend:
    async def test_what_is_posted(self, twilio: ScriptedTwilio) -> None:
        assert await sent(twilio, ScriptedAnswer(201, {"sid": "SM1", "status": "queued"})) == Accepted("SM1")
        (asked,) = twilio.requests
        assert (asked.method, asked.path) == ("POST", f"/2010-04-01/Accounts/{CREDENTIALS.account_sid}/Messages.json")
        assert asked.login == (CREDENTIALS.account_sid, CREDENTIALS.auth_token)
        assert sorted(asked.form) == [
            ("Body", MESSAGE.body),
            ("From", MESSAGE.sender),
            ("StatusCallback", f"{CALLBACK}?o=41"),
            ("To", MESSAGE.recipient),
        ]

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [({"Retry-After": "7"}, 7.0), ({}, None), ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None)],
        ids=["seconds", "nothing", "a date"],
    )
    async def test_a_rate_limit_is_not_sent(
        self, twilio: ScriptedTwilio, header: dict[str, str], seconds: float | None
    ) -> None:
        answer = replace(refused(429, 20429), headers=header)
        assert await sent(twilio, answer) == NotSent("rate limited", seconds)

    @pytest.mark.parametrize(
        ("status", "code"), [(400, 21211), (400, 21610), (400, 21617), (400, 63016), (403, 21408), (404, 20404)]
    )
    async def test_a_refusal_is_final(self, twilio: ScriptedTwilio, status: int, code: int) -> None:
        assert await sent(twilio, refused(status, code)) == Refused(str(code))

    @pytest.mark.parametrize(("status", "code"), [(400, 21611), (400, 63017), (400, 63018)])
    async def test_what_passes_is_tried_again(self, twilio: ScriptedTwilio, status: int, code: int) -> None:
        assert isinstance(await sent(twilio, refused(status, code)), NotSent)

    @pytest.mark.parametrize(("status", "code"), [(401, 20003), (403, 20003), (403, 20005)])
    async def test_refused_credentials_are_no_fault_of_the_message(
        self, twilio: ScriptedTwilio, status: int, code: int
    ) -> None:
        assert await sent(twilio, refused(status, code)) == Unauthorized(f"twilio {code}")

    @pytest.mark.parametrize(
        "answer",
        [
            refused(500, 20500),
            refused(503, 20503),
            ScriptedAnswer(502, b"<html>Bad Gateway</html>"),
            # A proxy's words, not Twilio's: nothing says that Twilio will never take the message.
            ScriptedAnswer(400, b"<html>not Twilio</html>"),
            ScriptedAnswer(403, b""),
            ScriptedAnswer(408, {"error": "timeout"}),
            ScriptedAnswer(302, b"", {"Location": "https://example.com"}),
            ScriptedAnswer(201, b""),
            ScriptedAnswer(201, b"<html>"),
            ScriptedAnswer(201, b"\xff\xfe"),
            ScriptedAnswer(201, {}),
            ScriptedAnswer(201, {"sid": None}),
            ScriptedAnswer(201, []),
            ScriptedAnswer(201, None),
            ScriptedAnswer(201, "SM1"),
            ScriptedAnswer(200, 5),
            DROP,
        ],
        ids=lambda answer: f"{answer.status} {answer.body!r}"[:40],
    )
    async def test_anything_else_is_unknown_and_never_an_exception(
        self, twilio: ScriptedTwilio, answer: ScriptedAnswer
    ) -> None:
        assert isinstance(await sent(twilio, answer), Unknown)
        assert len(twilio.requests) == 1, "posted again before anybody looked"

    async def test_an_answer_that_does_not_come_is_unknown(self, twilio: ScriptedTwilio) -> None:
        assert isinstance(await sent(twilio, HANG, timeout=0.1), Unknown)

    @pytest.mark.parametrize(
        "raw",
        [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{", b""],
        ids=["another protocol", "half an answer", "nothing"],
    )
    async def test_a_broken_connection_is_unknown(self, raw: bytes) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, gateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as made:
            assert isinstance(await made.send(MESSAGE), Unknown)

    async def test_a_connection_that_was_never_made_is_not_sent(self) -> None:
        async with gateway("http://127.0.0.1:1") as made:
            assert isinstance(await made.send(MESSAGE), NotSent)

    async def test_an_unresolvable_host_is_not_sent(self) -> None:
        async with gateway("http://api.twilio.invalid") as made:
            assert isinstance(await made.send(MESSAGE), NotSent)

    async def test_a_redirect_is_not_followed_with_our_credentials(self, twilio: ScriptedTwilio) -> None:
        async with scripted_twilio() as elsewhere:
            answer = ScriptedAnswer(307, b"", {"Location": f"{elsewhere.address}/Messages.json"})
            assert isinstance(await sent(twilio, answer), Unknown)
            assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (ScriptedAnswer(200, {"messages": [], "page_size": 1}), True),
        (refused(401, 20003), False),
        (refused(403, 20005), False),
        (refused(500, 20500), None),
        (ScriptedAnswer(403, b""), None),
        (DROP, None),
    ],
    ids=lambda value: f"{value.status} {value.body!r}"[:40] if isinstance(value, ScriptedAnswer) else str(value),
)
async def test_a_probe_says_whether_credentials_are_taken(
    twilio: ScriptedTwilio, answer: ScriptedAnswer, taken: bool | None
) -> None:
    twilio.listing = answer
    async with gateway(twilio.address) as made:
        assert await made.takes_credentials(CREDENTIALS) is taken


class TestFind:
    async def test_who_is_asked_for(self, twilio: ScriptedTwilio) -> None:
        assert await found(twilio) == []
        (asked,) = twilio.requests
        assert asked.method == "GET"
        assert asked.query == {"To": MESSAGE.recipient, "From": MESSAGE.sender, "PageSize": "200"}
        assert asked.login == (CREDENTIALS.account_sid, CREDENTIALS.auth_token)

    async def test_the_same_text_is_found_newest_first(self, twilio: ScriptedTwilio) -> None:
        listing = [listed("SM3"), listed("SM2", "outra coisa"), listed("SM1", None), listed("SM0")]
        assert await same_text(twilio, *listing) == ["SM3", "SM0"]

    async def test_white_space_may_have_changed_on_the_way(self, twilio: ScriptedTwilio) -> None:
        assert await same_text(twilio, listed("SM1", re.sub(r"\s", "  ", MESSAGE.body) + "\n")) == ["SM1"]

    async def test_ages_are_times_of_twilio_alone(self, twilio: ScriptedTwilio) -> None:
        """Its clock is years from ours here, as its Date header says."""
        messages = await found(twilio, listed("SM3", after=0), listed("SM2", after=-2), listed("SM1", after=-60))
        assert [round(message.age.total_seconds()) for message in messages] in ([0, 2, 60], [1, 3, 61])

    async def test_the_difference_of_the_clocks_is_measured(self, twilio: ScriptedTwilio, log: Log) -> None:
        for ahead, logged in ((0.0, 0), (5.0, 1), (-3600.0, 1)):
            log.clear()
            made = TwilioGateway(
                api_url=twilio.address, callback_url=CALLBACK, timeout=5, clock=partial(moved, timedelta(seconds=ahead))
            )
            await made.send(MESSAGE)
            await made.send(MESSAGE)
            assert made.clock_skew is not None
            assert abs(made.clock_skew.total_seconds() + ahead) < 2
            lines = [line for line in log.lines if line["event"] == "the provider's clock differs from ours"]
            assert len(lines) == logged
            await made.close()

    @pytest.mark.parametrize(
        "answer",
        [
            refused(500, 20500),
            refused(429, 20429),
            refused(401, 20003),
            ScriptedAnswer(200, b"<html>"),
            ScriptedAnswer(200, []),
            ScriptedAnswer(200, {}),
            ScriptedAnswer(200, {"messages": None}),
            DROP,
        ],
        ids=lambda answer: f"{answer.status} {answer.body!r}"[:40],
    )
    async def test_a_list_that_cannot_be_read_proves_nothing(
        self, twilio: ScriptedTwilio, answer: ScriptedAnswer
    ) -> None:
        twilio.listing = answer
        async with gateway(twilio.address) as made:
            with pytest.raises(LookupFailed):
                await made.find(MESSAGE)

    async def test_a_list_that_does_not_come_proves_nothing(self, twilio: ScriptedTwilio) -> None:
        twilio.listing = HANG
        async with gateway(twilio.address, timeout=0.1) as made:
            with pytest.raises(LookupFailed):
                await made.find(MESSAGE)

    async def test_no_connection_proves_nothing(self) -> None:
        async with gateway("http://127.0.0.1:1") as made:
            with pytest.raises(LookupFailed):
                await made.find(MESSAGE)


async def test_twilio_uses_no_thread_of_the_loop(twilio: ScriptedTwilio) -> None:
    """It would wait for what a tool's name server keeps."""
    shared = SharedThreads.of_loop()
    async with gateway(twilio.address.replace("127.0.0.1", "localhost")) as made:
        assert isinstance(await made.send(MESSAGE), Accepted)
    assert shared.calls == 0


async def test_neither_texts_nor_tokens_are_logged_or_shown(twilio: ScriptedTwilio, log: Log) -> None:
    for answer in (refused(400, 21211), refused(500, 20500), ScriptedAnswer(201, b"<html>"), DROP):
        result = await sent(twilio, answer)
        for secret in (CREDENTIALS.auth_token, MESSAGE.body, MESSAGE.recipient):
            assert secret not in repr(result)
    for secret in (CREDENTIALS.auth_token, MESSAGE.body[:3], MESSAGE.recipient):
        assert secret not in log.text
    assert CREDENTIALS.auth_token not in repr(MESSAGE)
