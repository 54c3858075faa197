"""What Twilio may send and we must take: stored before it is acknowledged, for the tenant whose number it is."""

import asyncio
import uuid
from urllib.parse import urlencode

import pytest

from app.channels.base import Credentials
from app.crypto import SecretBox
from app.identity import service as identity
from devkit.simulators.twilio.signing import sign
from tests.platform import ACCOUNT_SID, NUMBER, TENANT, TOKEN, Log, Platform, tenant_manifest

WEBHOOK = "/api/v1/twilio/webhook"
OTHER_ACCOUNT = "AC" + "d" * 32
ACK = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


@pytest.fixture
def platform(lasting_platform: Platform) -> Platform:
    return lasting_platform


@pytest.fixture
def contact() -> str:
    """Nobody that another test of this module knows."""
    return f"whatsapp:+55{uuid.uuid4().int % 10**11:011}"


async def inbox(platform: Platform, contact: str) -> list[dict[str, object]]:
    return await platform.rows(
        """select t.slug, i.account_sid, i.body, i.payload, c.profile_name, v.pending from inbox i
           join conversations v on v.id = i.conversation_id join contacts c on c.id = v.contact_id
           join tenants t on t.id = i.tenant_id
           where c.address = %(contact)s order by i.id""",
        contact=contact,
    )


async def test_the_answer_is_an_empty_twiml_after_the_commit(platform: Platform, contact: str) -> None:
    parameters = platform.webhook("oi", contact=contact)
    url = platform.settings.public_url + WEBHOOK
    headers = {"X-Twilio-Signature": sign(url, parameters, TOKEN)}
    async with platform.http.post(url, data=parameters, headers=headers) as answer:
        assert [row["body"] for row in await inbox(platform, contact)] == ["oi"]
        assert (answer.status, await answer.text()) == (200, ACK)
        assert answer.headers["Content-Type"].startswith("text/xml")


@pytest.mark.parametrize(
    "body",
    [
        "",
        " espaços \r\n e\tlinhas ",
        "ação 👋🏽 ñ 中文 العربية",
        "%41&Body=x+y;z",
        "\x01\x7f\u200b\ufeff",
        "x" * 4096,
        "👋" * 4096,
    ],
    ids=["empty", "white space", "unicode", "escapes", "control characters", "longest", "longest emoji"],
)
async def test_text_is_stored_as_it_was_written(platform: Platform, contact: str, body: str) -> None:
    await platform.say(body, contact=contact)
    (row,) = await inbox(platform, contact)
    assert row["body"] == body


async def test_unknown_and_blank_parameters_are_signed_but_not_stored(platform: Platform, contact: str) -> None:
    await platform.say("oi", contact=contact, Brandnew="", ReferralCtwaClid="abc", ChannelMetadata='{"type":"x"}')
    (row,) = await inbox(platform, contact)
    assert (row["body"], row["payload"]) == ("oi", {})


async def test_a_parameter_may_come_twice(platform: Platform, contact: str) -> None:
    parameters = [("X", "b"), *platform.webhook("oi", contact=contact), ("X", "a"), ("X", "b"), ("Body", "tudo bem")]
    assert await platform.post(parameters) == (200, ACK)
    (row,) = await inbox(platform, contact)
    assert row["body"] == "tudo bem"


async def test_many_parameters_are_still_a_message(platform: Platform, contact: str) -> None:
    await platform.say("oi", contact=contact, **{f"P{i}": str(i) for i in range(130)})
    assert len(await inbox(platform, contact)) == 1


async def test_a_nameless_sender_and_one_who_gets_a_name(platform: Platform, contact: str) -> None:
    parameters = [pair for pair in platform.webhook("oi", contact=contact) if pair[0] != "ProfileName"]
    assert await platform.post(parameters) == (200, ACK)
    (row,) = await inbox(platform, contact)
    assert row["profile_name"] is None
    await platform.say("oi de novo", contact=contact, ProfileName="Ana")
    await platform.post([pair for pair in platform.webhook("e de novo", contact=contact) if pair[0] != "ProfileName"])
    assert {row["profile_name"] for row in await inbox(platform, contact)} == {"Ana"}


async def test_a_button_and_a_location_arrive_with_their_payload(platform: Platform, contact: str) -> None:
    await platform.say("Confirmar", contact=contact, MessageType="button", ButtonPayload="confirm_1")
    await platform.say("", contact=contact, MessageType="location", Latitude="-23.5", Longitude="-46.6")
    assert [row["payload"] for row in await inbox(platform, contact)] == [
        {"button": "confirm_1", "kind": "button"},
        {"location": {"latitude": "-23.5", "longitude": "-46.6"}, "kind": "location"},
    ]


NOT_STORABLE = [
    (b"Body=meu email\x00 e ana%00exemplo.com", "meu email e anaexemplo.com"),
    (b"Body=oi%ED%A0%BD", "oi"),
    (b"Body=ol%E1", "olá"),
    (b"Body=oi&ProfileName=Ana%00&Bra%00nd%ED%A0%80=%FF", "oi"),
    (b"Body=foto%00&NumMedia=1&MediaUrl0=https://a%00/x&MediaContentType0=image/jpeg%ED%B8%80", "foto"),
    (b"Body=oi&Latitude=1%00&Longitude=%ED%A0%BD2&Label=%E1", "oi"),
    (b"Body=oi&InteractiveData=%7B%22a%22%3A%22%5Cu0000%22%7D&ButtonPayload=%00", "oi"),
]


@pytest.mark.parametrize(("text", "stored"), NOT_STORABLE)
async def test_what_is_signed_is_stored_without_what_cannot_be(
    platform: Platform, contact: str, text: bytes, stored: str
) -> None:
    rest = [(name, value) for name, value in platform.webhook("", contact=contact) if name != "Body"]
    for _ in range(2):
        assert await platform.post_form(urlencode(rest).encode() + b"&" + text) == (200, ACK)
    (row,) = await inbox(platform, contact)
    assert row["body"] == stored


async def test_a_message_without_an_id_is_stored_once(platform: Platform, contact: str) -> None:
    rest = [(name, value) for name, value in platform.webhook("oi", contact=contact) if "Sid" not in name]
    for _ in range(2):
        assert await platform.post([*rest, ("AccountSid", ACCOUNT_SID)]) == (200, ACK)
    assert len(await inbox(platform, contact)) == 1


async def test_a_text_longer_than_any_is_cut(platform: Platform, contact: str) -> None:
    await platform.say("x" * 100_000, contact=contact)
    (row,) = await inbox(platform, contact)
    assert row["body"] == "x" * 32_000


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("+551187654321", "+5511987654321"),
        ("+5511987654321", "+551187654321"),
        ("+541155551234", "+5491155551234"),
        ("+5215512345678", "+525512345678"),
    ],
)
async def test_a_number_with_and_without_a_digit_is_one_contact(platform: Platform, first: str, then: str) -> None:
    last = f"{uuid.uuid4().int % 10**6:06}"
    first, then = first[:-6] + last, then[:-6] + last
    await platform.say("oi", contact=f"whatsapp:{first}")
    await platform.say("de novo", contact=f"whatsapp:{then}")
    assert [row["body"] for row in await inbox(platform, f"whatsapp:{first}")] == ["oi", "de novo"]
    assert await inbox(platform, f"whatsapp:{then}") == []


async def test_a_sender_is_known_by_the_number_that_whatsapp_gives(platform: Platform) -> None:
    await platform.say("oi", contact="whatsapp:+551187654399")
    await platform.say("de novo", contact="whatsapp:BR.A1b2c3", WaId="5511987654399")
    assert [row["body"] for row in await inbox(platform, "whatsapp:+551187654399")] == ["oi", "de novo"]


@pytest.mark.parametrize("sender", ["whatsapp:US.ABC123xyz", "whatsapp:BR." + "Z9" * 64, "whatsapp:US.ENT.77aB"])
async def test_a_sender_without_a_number_is_answered_at_its_id(platform: Platform, sender: str) -> None:
    await platform.say("oi", contact=sender, WaId="")
    await platform.nudge()
    assert await platform.replies(1, sender) == ["eco: oi"]


async def test_a_number_that_two_accounts_claim_serves_both(platform: Platform, contact: str) -> None:
    """A number that moved, or a sandbox's: the account decides whose message it is."""
    await platform.publish("outra", tenant_manifest().files)
    await identity.add_channel(
        platform.system,
        SecretBox(platform.settings.secret_key),
        "outra",
        Credentials(OTHER_ACCOUNT, "another-token"),
        NUMBER,
    )
    # The API has read this number before, and looks again when somebody it does not know signs.
    theirs = platform.webhook("para a outra", contact=contact, AccountSid=OTHER_ACCOUNT)

    async def taken() -> bool:
        return (await platform.post(theirs, token="another-token"))[0] == 200

    await platform.until(taken, "the new owner's message to be taken")
    await platform.say("para a clínica", contact=contact)
    assert {(row["slug"], row["account_sid"], row["body"]) for row in await inbox(platform, contact)} == {
        ("outra", OTHER_ACCOUNT, "para a outra"),
        (TENANT, ACCOUNT_SID, "para a clínica"),
    }
    crossed = platform.webhook("cruzada", contact=contact, AccountSid=OTHER_ACCOUNT)
    assert (await platform.post(crossed, token=TOKEN))[0] == 403


async def test_a_rotated_token_replaces_the_old_one(platform: Platform, contact: str, log: Log) -> None:
    number, account, tokens = "whatsapp:+551140000055", "AC" + "e" * 32, ("token-before", "token-after")

    async def status(token: str) -> int:
        message = platform.webhook("oi", contact=contact, To=number, AccountSid=account)
        return (await platform.post(message, token=token))[0]

    async def new_one_works() -> bool:
        return await status(tokens[1]) == 200

    await platform.add_channel(TENANT, number, account, tokens[0])
    assert [await status(token) for token in tokens] == [200, 403]
    await platform.add_channel(TENANT, number, account, tokens[1])
    await platform.until(new_one_works, "the new token to be accepted")
    assert [await status(token) for token in tokens] == [403, 200]
    assert len(await inbox(platform, contact)) == 3
    assert not any(token in log.text for token in tokens)


async def test_a_message_before_anything_is_published_waits_for_it(platform: Platform, contact: str) -> None:
    slug, number, account = "futura", "whatsapp:+551140000066", "AC" + "f" * 32
    await identity.ensure_tenant(platform.system, slug, "Futura")
    await platform.add_channel(slug, number, account, "the-future-token")
    message = platform.webhook("oi", contact=contact, To=number, AccountSid=account)
    assert await platform.post(message, token="the-future-token") == (200, ACK)
    await platform.nudge()
    await platform.quiet()
    assert await platform.delivered(contact) == []
    assert [row["pending"] for row in await inbox(platform, contact)] == [1]
    await platform.publish(slug, tenant_manifest().files)
    platform.clock.advance(32)
    assert await platform.replies(1, contact) == ["eco: oi"]


async def test_contacts_who_write_at_once_are_kept_apart(platform: Platform) -> None:
    contacts = [f"whatsapp:+5521{n:09}" for n in range(30)]
    await asyncio.gather(*(platform.say(f"oi {n}", contact=contact) for n, contact in enumerate(contacts)))
    for n, contact in enumerate(contacts):
        assert [row["body"] for row in await inbox(platform, contact)] == [f"oi {n}"]
