"""Bad input: a clear status, one line in the log, nothing stored, and no word of what was sent or of what we hold."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import pytest

from devkit.simulators.twilio.signing import sign
from tests.platform import ACCOUNT_SID, NUMBER, TOKEN, Log, Platform

WEBHOOK, STATUS = "/api/v1/twilio/webhook", "/api/v1/twilio/status"
BODY = "um-segredo-do-contato"
NAME = "Fulana-de-Tal"
STRANGER = "AC" + "b" * 32
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Refused:
    """What came back, and what was sent."""

    status: int
    reason: str
    sent: list[str] = field(default_factory=list)


@pytest.fixture
async def platform(lasting_platform: Platform, log: Log, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Platform]:
    """Whatever a test of this module sends, nothing of it is stored, and no library has anything to say about it."""
    yield lasting_platform
    assert caplog.text == ""
    counts = await lasting_platform.row(
        """select (select count(*) from inbox) as inbox, (select count(*) from contacts) as contacts,
               (select count(*) from conversations) as conversations,
               (select count(*) from status_callbacks) as callbacks"""
    )
    assert counts == {"inbox": 0, "contacts": 0, "conversations": 0, "callbacks": 0}


def message(platform: Platform, **fields: str) -> list[tuple[str, str]]:
    return platform.webhook(BODY, **{"ProfileName": NAME, **fields})


def without(parameters: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [pair for pair in parameters if pair[0] != name]


def check(log: Log, status: int, text: str, expected: tuple[int, str]) -> None:
    """The rules that every refusal keeps."""
    assert (status, json.loads(text)) == (expected[0], {"error": expected[1]})
    (line,) = log.lines
    assert (line["level"], line["status_code"]) == ("warning", status)
    for secret in (BODY, NAME, TOKEN, "a-wrong-token", "Traceback", "Error"):
        assert secret not in log.text + text, secret


async def raw(
    platform: Platform, body: bytes, *, path: str = WEBHOOK, method: str = "POST", **headers: str
) -> tuple[int, str]:
    """Posts bytes as they are."""
    given = {name.replace("_", "-"): value for name, value in {"Content_Type": FORM, **headers}.items()}
    async with platform.http.request(method, platform.settings.public_url + path, data=body, headers=given) as answer:
        return answer.status, await answer.text()


NO_SIGNATURE = (403, "the signature is missing or wrong")
NOT_THE_OWNER = (403, "the account does not own this number")
UNKNOWN_NUMBER = (404, "no channel has this number")


class TestSignature:
    async def test_a_wrong_token(self, platform: Platform, log: Log) -> None:
        check(log, *await platform.post(message(platform), token="a-wrong-token"), NO_SIGNATURE)

    async def test_no_signature(self, platform: Platform, log: Log) -> None:
        check(log, *await raw(platform, urlencode(message(platform)).encode()), NO_SIGNATURE)

    @pytest.mark.parametrize("signature", ["", "x", "x" * 5000, "é" * 28])
    async def test_a_hostile_signature(self, platform: Platform, log: Log, signature: str) -> None:
        # Header values are Latin-1 on the wire, and a client that is not ours may send all of it.
        body = urlencode(message(platform)).encode()
        head = (
            f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\n"
            f"Content-Length: {len(body)}\r\nX-Twilio-Signature: {signature}\r\n\r\n"
        ).encode("latin-1")
        check(log, *await spoken(platform, head + body), NO_SIGNATURE)

    @pytest.mark.parametrize("change", ["altered", "added", "dropped", "blank dropped"])
    async def test_parameters_that_were_not_signed(self, platform: Platform, log: Log, change: str) -> None:
        genuine = [*message(platform), ("Blank", "")]
        signature = sign(platform.settings.public_url + WEBHOOK, genuine, TOKEN)
        forged = {
            "altered": [*without(genuine, "Body"), ("Body", BODY + "!")],
            "added": [*genuine, ("Extra", "")],
            "dropped": without(genuine, "ProfileName"),
            "blank dropped": without(genuine, "Blank"),
        }[change]
        answer = await raw(platform, urlencode(forged).encode(), X_Twilio_Signature=signature)
        check(log, *answer, NO_SIGNATURE)

    @pytest.mark.parametrize("base", ["https://127.0.0.1", "http://bot.example.com", "http://localhost"])
    async def test_a_signature_for_another_url(self, platform: Platform, log: Log, base: str) -> None:
        headers = {"Host": urlsplit(base).netloc, "X-Forwarded-Host": urlsplit(base).netloc}
        check(log, *await platform.post(message(platform), signed=base, headers=headers), NO_SIGNATURE)

    @pytest.mark.parametrize("query", ["?a=1", "?"])
    async def test_a_query_that_was_not_signed(self, platform: Platform, log: Log, query: str) -> None:
        signature = sign(platform.settings.public_url + WEBHOOK, message(platform), TOKEN + query)
        body = urlencode(message(platform)).encode()
        answer = await raw(platform, body, path=WEBHOOK + query, X_Twilio_Signature=signature)
        check(log, *answer, NO_SIGNATURE)

    async def test_a_signed_callback_is_no_message(self, platform: Platform, log: Log) -> None:
        parameters = message(platform)
        signature = sign(platform.settings.public_url + STATUS, parameters, TOKEN)
        answer = await raw(platform, urlencode(parameters).encode(), X_Twilio_Signature=signature)
        check(log, *answer, NO_SIGNATURE)


class TestOwnership:
    async def test_a_number_that_nobody_has(self, platform: Platform, log: Log) -> None:
        check(log, *await platform.post(message(platform, To="whatsapp:+551149999999")), UNKNOWN_NUMBER)

    @pytest.mark.parametrize("token", [TOKEN, "a-wrong-token"])
    async def test_an_account_that_does_not_own_the_number(self, platform: Platform, log: Log, token: str) -> None:
        check(log, *await platform.post(message(platform, AccountSid=STRANGER), token=token), NOT_THE_OWNER)

    async def test_another_tenant_cannot_speak_to_our_number(self, platform: Platform, log: Log) -> None:
        """Its own signature is good, but the number is not its own."""
        slug, token = "vizinho", "the-token-of-the-neighbour"
        await platform.publish(slug, (await neighbour(platform)))
        await platform.add_channel(slug, "whatsapp:+551140000077", STRANGER, token)
        log.clear()
        check(log, *await platform.post(message(platform, AccountSid=STRANGER), token=token), NOT_THE_OWNER)
        log.clear()
        check(log, *await platform.post(message(platform, AccountSid=ACCOUNT_SID), token=token), NO_SIGNATURE)

    async def test_a_callback_for_a_number_that_nobody_has(self, platform: Platform, log: Log) -> None:
        callback = [("AccountSid", ACCOUNT_SID), ("From", "whatsapp:+551149999999"), ("MessageStatus", "sent")]
        check(log, *await platform.post(callback, path=f"{STATUS}?o=1"), UNKNOWN_NUMBER)

    async def test_a_callback_with_a_wrong_signature(self, platform: Platform, log: Log) -> None:
        callback = [("AccountSid", ACCOUNT_SID), ("From", NUMBER), ("MessageStatus", "sent")]
        answer = await platform.post(callback, path=f"{STATUS}?o=1", token="a-wrong-token")
        check(log, *answer, NO_SIGNATURE)


async def neighbour(platform: Platform) -> dict[str, str]:
    row = await platform.row("select files from assistant_versions where files->>'assistant.yaml' like '%Testes%'")
    files: dict[str, str] = row["files"]
    return {**files, "assistant.yaml": files["assistant.yaml"].replace("Clínica de Testes", "Vizinho")}


class TestBody:
    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/json", json.dumps({"Body": BODY, "To": NUMBER, "AccountSid": ACCOUNT_SID}).encode()),
            ("text/plain", BODY.encode()),
            ("multipart/form-data; boundary=x", f'--x\r\nContent-Disposition: form-data; name="Body"\r\n\r\n{BODY}'),
            ("", f"Body={BODY}".encode()),
        ],
        ids=["json", "text", "multipart", "nothing"],
    )
    async def test_no_form(self, platform: Platform, log: Log, content_type: str, body: bytes | str) -> None:
        content = body.encode() if isinstance(body, str) else body
        answer = await raw(platform, content, Content_Type=content_type)
        check(log, *answer, (400, f"the body must be {FORM}"))

    async def test_a_signed_json_body(self, platform: Platform, log: Log) -> None:
        path = f"{WEBHOOK}?bodySHA256={'0' * 64}"
        signature = sign(platform.settings.public_url + path, [], TOKEN)
        answer = await raw(platform, b"{}", path=path, Content_Type="application/json", X_Twilio_Signature=signature)
        check(log, *answer, (400, f"the body must be {FORM}"))

    async def test_nothing_at_all(self, platform: Platform, log: Log) -> None:
        check(log, *await raw(platform, b""), (400, "AccountSid is missing or malformed"))

    @pytest.mark.parametrize("text", ["x" * 262_144, "👋" * 65_536, "x" * 1_000_000])
    async def test_256_kb_of_text(self, platform: Platform, log: Log, text: str) -> None:
        status, answer = await platform.post(platform.webhook(BODY + text))
        assert status == 413
        check(log, status, answer, (413, "Request Entity Too Large"))

    async def test_a_large_body_whose_length_is_not_said(self, platform: Platform, log: Log) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield f"Body={BODY}".encode()
            for _ in range(300):
                yield b"x" * 1024

        url, headers = platform.settings.public_url + WEBHOOK, {"Content-Type": FORM}
        async with platform.http.post(url, data=pieces(), headers=headers) as answer:
            status, text = answer.status, await answer.text()
        check(log, status, text, (413, "Request Entity Too Large"))

    async def test_3000_parameters(self, platform: Platform, log: Log) -> None:
        parameters = [*message(platform), *((f"P{i}", BODY) for i in range(3_000))]
        check(log, *await platform.post(parameters), (400, "more than 2000 parameters"))

    @pytest.mark.parametrize("text", [b"%ED%A0%80", b"%FF%FE", b"\xc3\xa7", b"\xff", b"%00"])
    async def test_no_text_without_a_signature(self, platform: Platform, log: Log, text: bytes) -> None:
        body = urlencode(message(platform)).encode() + b"&Extra=" + text
        check(log, *await raw(platform, body), NO_SIGNATURE)

    @pytest.mark.parametrize("name", ["AccountSid", "To", "From"])
    @pytest.mark.parametrize("value", [None, "", f"{BODY}\r\n", "'; drop table inbox; --\x00"])
    async def test_parties_that_are_none(self, platform: Platform, log: Log, name: str, value: str | None) -> None:
        rest = without(message(platform), name)
        parameters = rest if value is None else [*rest, (name, value)]
        check(log, *await platform.post(parameters), (400, f"{name} is missing or malformed"))


async def spoken(platform: Platform, request: bytes) -> tuple[int, str]:
    """Says it byte by byte, as no client library would."""
    parts = urlsplit(platform.settings.public_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


@pytest.mark.parametrize("host", ["[", "a b", "\xff", "evil.example.com:99999999", "", "a@b:c@d/e?f#g"])
async def test_a_hostile_host_header(platform: Platform, log: Log, host: str) -> None:
    body = urlencode(message(platform)).encode()
    head = (
        f"POST {WEBHOOK} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {FORM}\r\n"
        f"Content-Length: {len(body)}\r\nX-Twilio-Signature: {base64.b64encode(b'x' * 20).decode()}\r\n\r\n"
    ).encode("latin-1")
    status, text = await spoken(platform, head + body)
    if status != 400:  # the framework's own answer to a name that cannot be one
        check(log, status, text, NO_SIGNATURE)


async def test_another_method(platform: Platform, log: Log) -> None:
    for path in (WEBHOOK, STATUS):
        log.clear()
        check(log, *await raw(platform, b"", path=path, method="GET"), (405, "Method Not Allowed"))
