"""What Twilio posts: signatures against vectors made with Twilio's own library, and hostile forms."""

import base64
import hmac
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.channels.base import InboundMessage, StatusUpdate
from app.channels.whatsapp import inbound
from app.channels.whatsapp.inbound import Form
from app.errors import WebhookRefused

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))
FORMS = [vector for vector in VECTORS if vector["algorithm"] == "HMAC_SHA1" and "pairs" in vector]
STATUS = next(vector for vector in VECTORS if vector["name"] == "status_port_query_dup_blank")
STATUS_SIGNED_WITHOUT_PORT = "oUBrAxCRtCvMAD2LudSz72uR7NA="

MESSAGE = {
    "AccountSid": "AC" + "0" * 31 + "1",
    "MessageSid": "SM" + "a" * 32,
    "From": "whatsapp:+5491155551234",
    "To": "whatsapp:+14155238886",
    "Body": "oi",
}
CALLBACK = {
    "AccountSid": "AC" + "0" * 31 + "1",
    "MessageSid": "SM" + "b" * 32,
    "MessageStatus": "delivered",
    "From": "whatsapp:+14155238886",
}


Parameters = list[tuple[str, str]]


def form(pairs: Iterable[tuple[str, str]]) -> Form:
    return Form([(name.encode(), value.encode()) for name, value in pairs])


def pairs(vector: dict[str, Any]) -> Parameters:
    return [(name, value) for name, value in vector["pairs"]]


def valid(vector: dict[str, Any], **changes: Any) -> bool:
    case = {"url": vector["url"], "parameters": pairs(vector), "signature": vector["signature"]} | changes
    return inbound.signature_is_valid([vector["token"]], case["url"], form(case["parameters"]), case["signature"])


def refusal(call: Any, *arguments: Any) -> WebhookRefused:
    with pytest.raises(WebhookRefused) as raised:
        call(*arguments)
    return raised.value


class TestSignature:
    @pytest.mark.parametrize("vector", FORMS, ids=lambda vector: vector["name"])
    def test_twilios_own_vectors_are_valid(self, vector: dict[str, Any]) -> None:
        assert valid(vector)

    @pytest.mark.parametrize("vector", FORMS, ids=lambda vector: vector["name"])
    def test_the_form_that_we_parse_is_the_form_that_was_signed(self, vector: dict[str, Any]) -> None:
        body = urlencode(pairs(vector)).encode()
        parsed = inbound.parse_form("application/x-www-form-urlencoded; charset=UTF-8", body)
        assert parsed == form(pairs(vector))

    @pytest.mark.parametrize("vector", FORMS, ids=lambda vector: vector["name"])
    def test_a_change_to_any_parameter_is_noticed(self, vector: dict[str, Any]) -> None:
        genuine = pairs(vector)
        for position, (name, value) in enumerate(genuine):
            rest = genuine[:position] + genuine[position + 1 :]
            assert not valid(vector, parameters=[*rest, (name, value + "x")]), name
            assert not valid(vector, parameters=[*rest, (name + "x", value)]), name
            # A pair that is there twice is signed once.
            assert valid(vector, parameters=rest) == ((name, value) in rest), name
        assert not valid(vector, parameters=[*genuine, ("New", "")])

    def test_the_order_of_parameters_does_not_matter(self) -> None:
        assert valid(STATUS, parameters=pairs(STATUS)[::-1])

    @pytest.mark.parametrize(
        "url",
        [
            "http://bot.example.com:8443/webhooks/twilio/status?tenant=acme%20co&mid=01J9ZK",
            "https://bot.example.com:8444/webhooks/twilio/status?tenant=acme%20co&mid=01J9ZK",
            "https://bot.example.com:8443/webhooks/twilio/status/?tenant=acme%20co&mid=01J9ZK",
            "https://bot.example.com:8443/webhooks/twilio/status?tenant=acme+co&mid=01J9ZK",
            "https://bot.example.com:8443/webhooks/twilio/status?mid=01J9ZK&tenant=acme%20co",
            "https://bot.example.com:8443/webhooks/twilio/status",
            "https://evil.example.com:8443/webhooks/twilio/status?tenant=acme%20co&mid=01J9ZK",
        ],
    )
    def test_another_url_is_another_signature(self, url: str) -> None:
        assert not valid(STATUS, url=url)

    def test_a_port_of_ours_may_be_left_out_of_what_twilio_signed(self) -> None:
        assert valid(STATUS, signature=STATUS_SIGNED_WITHOUT_PORT)

    def test_a_port_that_we_do_not_have_may_not(self) -> None:
        without = STATUS["url"].replace(":8443", "")
        assert valid(STATUS, url=without, signature=STATUS_SIGNED_WITHOUT_PORT)
        assert not valid(STATUS, url=without)

    def test_any_token_of_the_channel_will_do(self) -> None:
        case = STATUS["url"], form(pairs(STATUS)), STATUS["signature"]
        assert inbound.signature_is_valid(["newer", STATUS["token"]], *case)
        assert inbound.signature_is_valid([STATUS["token"], "older"], *case)
        assert not inbound.signature_is_valid(["newer", "older"], *case)
        assert not inbound.signature_is_valid([], *case)

    def test_a_shared_key_is_not_an_auth_token(self) -> None:
        (vector,) = [vector for vector in VECTORS if vector["algorithm"] == "HMAC_SHA256"]
        assert not valid(vector)

    @pytest.mark.parametrize(
        "signature",
        [
            None,
            "",
            "x",
            STATUS["signature"][:-1],
            STATUS["signature"] + "=",
            STATUS["signature"].swapcase(),
            "é" * len(STATUS["signature"]),
            "\U0001f600" * len(STATUS["signature"]),
            "=" * 100_000,
        ],
        ids=["none", "empty", "short", "cut", "longer", "other case", "not ascii", "emoji", "huge"],
    )
    def test_a_hostile_header_is_wrong_and_nothing_worse(self, signature: str | None) -> None:
        assert not valid(STATUS, signature=signature)


class TestForm:
    def parse(self, body: bytes, content_type: str = "application/x-www-form-urlencoded") -> Form:
        return inbound.parse_form(content_type, body)

    def test_order_blanks_and_duplicates_are_kept(self) -> None:
        assert self.parse(b"B=2&A=&B=1&A&").pairs == [(b"B", b"2"), (b"A", b""), (b"B", b"1"), (b"A", b"")]

    def test_text_arrives_as_it_was_written(self) -> None:
        text = " ção\r\n\t+&=%;👋 "
        assert self.parse(urlencode({"Body": text}).encode()).fields == {"Body": text}

    @pytest.mark.parametrize(
        "content_type",
        ["", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx"],
    )
    def test_another_kind_of_body_is_refused(self, content_type: str) -> None:
        assert refusal(self.parse, b"A=1", content_type).status_code == 400

    def test_the_content_type_is_read_as_http_has_it(self) -> None:
        assert self.parse(b"A=1", "Application/X-WWW-Form-Urlencoded ;charset=utf-8").fields == {"A": "1"}

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b"Body=oi%ED%A0%80", "oi"),
            (b"Body=%ED%B0%80%ED%A0%80!", "!"),
            (b"Body=oi%ED%A0%BD%ED%B8%80", "oi\U0001f600"),
            (b"Body=ol%E1", "olá"),
            (b"Body=%93oi%94", "\u201coi\u201d"),
            (b"Body=%C3", "Ã"),
            ("Body=ção".encode(), "ção"),
            (b"Body=ol\xe1", "olá"),
            (b"Body=a%00b", "ab"),
            (b"Body=%", "%"),
            (b"Body=%zz", "%zz"),
            (b"Body=%F4%90%80%80", "ô\ufffd€€"),
            (b"Body=%C0%80", "À€"),
        ],
        ids=[
            *("half an emoji", "halves in the wrong order", "halves encoded one by one", "Latin-1", "windows-1252"),
            *("half a character", "raw UTF-8", "raw Latin-1", "a NUL", "a percent sign", "no hexadecimal"),
            *("beyond Unicode", "an overlong NUL"),
        ],
    )
    def test_what_is_no_text_is_read_without_what_cannot_be_stored(self, body: bytes, text: str) -> None:
        assert self.parse(body).fields == {"Body": text}

    @pytest.mark.parametrize("body", [b"Body=oi%ED%A0%BD", b"Body=ol%E1", b"Body=%00&%ED%A0%80=x", b"A=\xff&A=%FE&A="])
    def test_the_signature_is_over_the_bytes_as_they_came(self, body: bytes) -> None:
        parsed = self.parse(body)
        url, token = "https://bot.example.com/hook", "secret"
        signed = url.encode() + b"".join(name + value for name, value in sorted(parsed.pairs))
        signature = base64.b64encode(hmac.digest(token.encode(), signed, "sha1")).decode()
        assert inbound.signature_is_valid([token], url, parsed, signature)
        assert not inbound.signature_is_valid([token], url, self.parse(body + b"x"), signature)

    def test_parameters_are_counted(self) -> None:
        assert len(self.parse(b"&".join(b"P%d=" % i for i in range(2_000))).fields) == 2_000
        assert refusal(self.parse, b"&" * 2_000).status_code == 400


class TestMessage:
    def parse(self, **changes: str) -> InboundMessage:
        return inbound.parse_message(form((MESSAGE | changes).items()))

    def test_a_plain_one(self) -> None:
        message = self.parse(ProfileName="Ana Pérez", WhatIsNew="?", NumMedia="0")
        assert message.sender == MESSAGE["From"]
        assert message.recipient == MESSAGE["To"]
        assert (message.account_sid, message.provider_sid) == (MESSAGE["AccountSid"], MESSAGE["MessageSid"])
        assert (message.body, message.profile_name, message.payload) == ("oi", "Ana Pérez", {})

    def test_a_sender_without_a_number(self) -> None:
        longest = "whatsapp:BR." + "A1" * 64
        assert self.parse(From="whatsapp:US.ABC123", WaId="").sender == "whatsapp:US.ABC123"
        assert self.parse(From=longest).sender == longest

    def test_only_who_wrote_and_to_whom_must_be_known(self) -> None:
        for name in ("AccountSid", "From", "To"):
            rest = form((key, value) for key, value in MESSAGE.items() if key != name)
            refused = refusal(inbound.parse_message, rest)
            assert (refused.status_code, str(refused)) == (400, f"{name} is missing or malformed")
        assert inbound.parse_message(form((n, v) for n, v in MESSAGE.items() if n != "Body")).body == ""

    def test_a_message_without_an_id_has_one_by_its_content(self) -> None:
        rest = [(name, value) for name, value in MESSAGE.items() if name != "MessageSid"]
        sids = {inbound.parse_message(form(order)).provider_sid for order in (rest, rest[::-1])}
        assert len(sids) == 1
        assert inbound.parse_message(form([*rest, ("Body", "outra")])).provider_sid not in sids
        assert inbound.parse_message(form([*rest, ("SmsSid", "SM1")])).provider_sid == "SM1"
        assert self.parse(MessageSid="a b\x00").provider_sid.startswith("content-")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("AccountSid", "AC" + "g" * 32),
            ("AccountSid", "ac" + "0" * 32),
            ("AccountSid", "AC" + "0" * 32 + "\n"),
            ("From", ""),
            ("From", "whatsapp:+55 11"),
            ("From", "whatsapp:" + "1" * 200),
            ("From", "whatsapp:+549115555\n"),
            ("To", "whatsapp:'; drop table inbox; --"),
        ],
    )
    def test_malformed_ids_are_refused_without_repeating_them(self, name: str, value: str) -> None:
        refused = refusal(lambda: self.parse(**{name: value}))
        assert refused.status_code == 400
        assert value not in str(refused) or value == ""

    @pytest.mark.parametrize("name", ["Body", "ProfileName", "ButtonPayload", "Latitude", "SomethingNew", "Na\x00me"])
    def test_a_nul_is_left_out_wherever_it_is(self, name: str) -> None:
        message = self.parse(**{"Longitude": "1", name: "a\x00b"})
        assert "\x00" not in repr(message)

    def test_the_last_of_several_values_counts_everywhere(self) -> None:
        other = "whatsapp:+14155230000"
        doubled = [*MESSAGE.items(), ("To", other), ("AccountSid", "AC" + "2" * 32)]
        message = inbound.parse_message(form(doubled))
        assert (
            inbound.addressed_to(form(doubled).fields)
            == (message.account_sid, message.recipient)
            == ("AC" + "2" * 32, other)
        )

    def test_names_are_cut_and_blank_ones_are_none(self) -> None:
        assert self.parse(ProfileName="x" * 5000).profile_name == "x" * 200
        assert self.parse(ProfileName="").profile_name is None

    def test_a_button_and_a_list(self) -> None:
        pressed = self.parse(Body="", ButtonPayload="confirm_1", ButtonText="Sim", MessageType="button")
        assert (pressed.body, pressed.payload) == ("Sim", {"button": "confirm_1", "kind": "button"})
        assert self.parse(ListId="item_2").payload == {"button": "item_2"}
        assert self.parse(Body=" ", ListId="item_2", ListTitle="Corte").body == "Corte"
        assert self.parse(Body="Confirmo", ButtonText="Sim").body == "Confirmo"
        assert self.parse(ButtonPayload="x" * 5000).payload == {"button": "x" * 256}

    def test_media_by_reference(self) -> None:
        media = {"MediaUrl0": "https://api.twilio.com/a", "MediaContentType0": "audio/ogg", "MediaUrl1": "https://b"}
        assert self.parse(NumMedia="2", Body="", **media).payload == {
            "media": [
                {"url": "https://api.twilio.com/a", "content_type": "audio/ogg"},
                {"url": "https://b", "content_type": ""},
            ]
        }

    @pytest.mark.parametrize("count", ["", "-1", "x", "1.5", "\u0661", "1e3", "9" * 5000])
    def test_a_hostile_count_of_media_is_none(self, count: str) -> None:
        assert self.parse(NumMedia=count, MediaUrl0="https://a").payload == {}

    def test_media_are_bounded(self) -> None:
        urls = {f"MediaUrl{i}": "https://a" for i in range(50)}
        assert len(self.parse(NumMedia="50", **urls).payload["media"]) == 10

    def test_a_location(self) -> None:
        location = {"latitude": "-23.5", "longitude": "-46.6"}
        assert self.parse(Latitude="-23.5", Longitude="-46.6").payload == {"location": location}
        assert self.parse(Latitude="-23.5").payload == {}
        place = self.parse(Latitude="-23.5", Longitude="-46.6", Label="MASP", Address="Av. Paulista, 1578").payload
        assert place == {"location": {**location, "label": "MASP", "address": "Av. Paulista, 1578"}}

    def test_the_answers_of_a_form(self) -> None:
        answers = {"data": {"dia": "2026-01-12", "turno": "tarde"}}
        assert self.parse(InteractiveData=json.dumps(answers)).payload == {"form": answers}
        assert self.parse(FlowData="{oi").payload == {"form": "{oi"}
        assert self.parse(InteractiveData='{"a": NaN}').payload == {"form": '{"a": NaN}'}
        assert self.parse(InteractiveData='{"a": "\\u0000"}').payload == {"form": '{"a": "\\u0000"}'}
        assert self.parse(InteractiveData='{"a": "\\ud83d"}').payload == {"form": '{"a": "\\ud83d"}'}
        assert self.parse(InteractiveData="[" * 3000 + "]" * 3000).payload["form"].startswith("[[")
        assert len(self.parse(InteractiveData="x" * 99_999).payload["form"]) == 8_000

    def test_what_twilio_says_around_a_message(self) -> None:
        said = self.parse(
            OriginalRepliedMessageSid="SM" + "c" * 32,
            ReferralHeadline="Tênis 42",
            ReferralBody="Só hoje",
            ReferralNumMedia="0",
            Forwarded="true",
            FrequentlyForwarded="false",
        ).payload
        referral = {"headline": "Tênis 42", "body": "Só hoje"}
        assert said == {"quoted": "SM" + "c" * 32, "referral": referral, "forwarded": True}


class TestStatus:
    def parse(self, outbox_id: str | None = "7", **changes: str) -> StatusUpdate:
        update = self.parsed(outbox_id, **changes)
        assert update is not None
        return update

    def parsed(self, outbox_id: str | None = "7", **changes: str) -> StatusUpdate | None:
        return inbound.parse_status(outbox_id, form((CALLBACK | changes).items()))

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("accepted", "sent"),
            ("scheduled", "sent"),
            ("queued", "sent"),
            ("sending", "sent"),
            ("sent", "sent"),
            ("delivered", "delivered"),
            ("read", "read"),
            ("failed", "failed"),
            ("undelivered", "failed"),
            ("canceled", "failed"),
            ("partially_delivered", "sent"),
            ("something_new", "sent"),
            ("DELIVERED", "sent"),
            ("", "sent"),
        ],
    )
    def test_their_words_become_ours(self, theirs: str, ours: str) -> None:
        update = self.parse(MessageStatus=theirs)
        assert (update.outbox_id, update.status, update.provider_sid) == (7, ours, CALLBACK["MessageSid"])

    @pytest.mark.parametrize("outbox_id", [None, "", "x", "-1", "1.0", "\u0661", "\u00b2", " 1", "1" * 19])
    def test_our_id_must_be_a_number_that_postgres_knows(self, outbox_id: str | None) -> None:
        assert self.parsed(outbox_id) is None

    @pytest.mark.parametrize("sid", ["", "SM 1", "x" * 65])
    def test_a_callback_without_a_message_is_none(self, sid: str) -> None:
        assert self.parsed(MessageSid=sid) is None

    def test_error_codes_are_numbers(self) -> None:
        assert self.parse(MessageStatus="undelivered", ErrorCode="63016").error_code == "63016"
        assert self.parse(ErrorCode="").error_code == ""
        assert self.parse(ErrorCode="6\x003'; drop" + "1" * 99).error_code == "63" + "1" * 8
