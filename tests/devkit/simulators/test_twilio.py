import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from devkit.simulators.twilio.numbers import parse_option
from devkit.simulators.twilio.signing import sign

ACCOUNT = "AC" + "1" * 32
TOKEN = "a token of thirty-two characters"
NUMBER = "whatsapp:+551140000000"
CONTACT = "whatsapp:+5511987654321"
pytestmark = pytest.mark.asyncio
FIELDS = (
    "account_sid api_version body date_created date_sent date_updated direction error_code error_message from "
    "messaging_service_sid num_media num_segments price price_unit sid status subresource_uris to uri"
)


@dataclass
class Hit:
    url: str
    headers: dict[str, str]
    params: list[tuple[str, str]]

    @property
    def form(self) -> dict[str, str]:
        return dict(self.params)

    @property
    def genuine(self) -> bool:
        return bool(RequestValidator(TOKEN).validate(self.url, self.form, self.headers["X-Twilio-Signature"]))


@dataclass
class Receiver:
    base: str = ""
    status: int = 200
    hits: "asyncio.Queue[Hit]" = field(default_factory=asyncio.Queue)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        params = parse_qsl(await request.text(), keep_blank_values=True)
        self.hits.put_nowait(Hit(f"{self.base}{request.raw_path}", dict(request.headers), params))
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        if request.path != "/chunked":
            return web.Response(status=self.status, text="<Response/>", content_type="text/xml")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"<Resp")
        await response.write(b"onse/>")
        return response

    async def next(self) -> Hit:
        async with asyncio.timeout(5):
            return await self.hits.get()


class LocalHttp:
    """twilio-python has no setting for the base URL."""

    def __init__(self, base: str) -> None:
        self.base, self.client = base, TwilioHttpClient(timeout=5)

    def request(self, method: str, url: str, *args: object, **options: object) -> object:
        return self.client.request(method, url.replace("https://api.twilio.com", self.base), *args, **options)


@dataclass
class Simulator:
    base: str
    http: aiohttp.ClientSession
    receiver: Receiver
    client: Client

    async def get(self, path: str, **query: str | float) -> dict[str, Any]:
        async with self.http.get(f"{self.base}/control/{path}", params=query) as response:
            return dict(await response.json())

    async def control(self, path: str, **data: object) -> dict[str, Any]:
        async with self.http.post(f"{self.base}/control/{path}", json=data) as response:
            return dict(await response.json())

    async def put_number(self, webhook_path: str) -> None:
        url = webhook_path if webhook_path.startswith("http") else self.receiver.base + webhook_path
        number = {"account_sid": ACCOUNT, "auth_token": TOKEN, "address": NUMBER, "webhook_url": url}
        await self.control("numbers", **number, name="Clínica", suggestions=["Oi"])

    async def create(self, **form: str) -> tuple[int, dict[str, Any]]:
        data = {"To": CONTACT, "From": NUMBER, "Body": "Olá"} | form
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        url = f"{self.base}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        async with self.http.post(url, data=data, headers=headers) as response:
            return response.status, await response.json()

    async def say(self, body: str = "Oi", **data: object) -> dict[str, Any]:
        return await self.control("inbound", **{"from": CONTACT, "to": NUMBER, "body": body} | data)

    async def outbound(self) -> list[dict[str, Any]]:
        return list((await self.get("messages", direction="outbound"))["messages"])

    async def reached(self, sid: str, status: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                message = next(each for each in await self.outbound() if each["sid"] == sid)
                if message["status"] == status:
                    return message
                await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    command = [sys.executable, "-m", "devkit.simulators.twilio", "--port", "0", "--callback-delay", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("twilio simulator ready on http://127.0.0.1:")
        yield ready.split()[4]
        process.terminate()
        _, errors = process.communicate(timeout=5)
        assert (process.returncode, errors) == (0, "")


@pytest_asyncio.fixture
async def sim(base: str) -> AsyncIterator[Simulator]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{rest:.*}", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    local = LocalHttp(base)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        simulator = Simulator(base, http, receiver, Client(ACCOUNT, TOKEN, http_client=local))
        await simulator.put_number("/webhook")
        yield simulator
        await simulator.control("reset")
    local.client.session.close()
    await runner.cleanup()


SIGNED = """
GvWf1cFY/Q7PnoempGyD5oXAezc= https://mycompany.com/myapp.php?foo=1&bar=2 \
CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212
nNLo76LF5q1KeqxSbwVTYyk12HQ= https://bot.example.com:8443/webhooks/twilio/status?tenant=acme%20co&mid=01J9ZK \
MessageSid=SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&MessageStatus=delivered&ErrorCode=&X=b&X=a&X=a
s8TjJJpVCqq7gfmcOclimfQghzY= https://bot.example.com/webhooks/twilio/whatsapp#rc=3&rp=5xx \
SmsMessageSid=SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&NumMedia=0&ProfileName=Ana+P%C3%A9rez&MessageType=text&\
SmsSid=SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&WaId=5491155551234&SmsStatus=received&NumSegments=1&ReferralNumMedia=0&\
Body=Hola%2C+%C2%BFtienen+caf%C3%A9%3F+%F0%9F%91%8B&To=whatsapp%3A%2B14155238886&ApiVersion=2010-04-01&\
MessageSid=SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&AccountSid=AC00000000000000000000000000000001&From=whatsapp%3A%2B5491155551234
"""


@pytest.mark.parametrize("line", SIGNED.strip().splitlines())
async def test_sign_makes_known_signatures(line: str) -> None:
    signature, url, params = line.split()
    assert sign(url, parse_qsl(params, keep_blank_values=True), "12345") == signature


async def test_number_option_has_two_forms() -> None:
    url = "http://127.0.0.1:8000/hook#rc=3&rp=ct,rt,5xx"
    number, token = parse_option(f"{ACCOUNT}:secret:{NUMBER}:{url}")
    assert (number.address, number.webhook_url, token) == (NUMBER, url, "secret")
    data = {"account_sid": ACCOUNT, "auth_token": "secret", "address": NUMBER, "webhook_url": url, "name": "Ana"}
    assert parse_option(json.dumps(data))[0].name == "Ana"
    with pytest.raises(ValueError, match="of this machine"):
        parse_option(f"{ACCOUNT}:secret:{NUMBER}:https://bot.example.com/hook")


async def test_real_client_creates_and_fetches(sim: Simulator) -> None:
    made = await asyncio.to_thread(sim.client.messages.create, to=CONTACT, from_=NUMBER, body="Olá 😊\n*oi*")
    assert (made.status, made.body, made.direction) == ("queued", "Olá 😊\n*oi*", "outbound-api")
    assert (made.num_segments, made.num_media, made.date_sent) == ("1", "0", None)
    assert abs(datetime.now(UTC) - made.date_created) < timedelta(seconds=5)
    await sim.reached(made.sid, "delivered")
    fetched = await asyncio.to_thread(sim.client.messages(made.sid).fetch)
    assert (fetched.status, fetched.sid, fetched.date_sent is None) == ("delivered", made.sid, False)
    status, resource = await sim.create()
    assert (status, " ".join(sorted(resource))) == (201, FIELDS)


async def test_unknown_message_and_wrong_token(sim: Simulator) -> None:
    with pytest.raises(TwilioRestException) as missing:
        await asyncio.to_thread(sim.client.messages("SM" + "0" * 32).fetch)
    assert (missing.value.status, missing.value.code) == (404, 20404)
    stranger = Client(ACCOUNT, "wrong", http_client=sim.client.http_client)
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(stranger.messages.create, to=CONTACT, from_=NUMBER, body="Olá")
    assert (refused.value.status, refused.value.code) == (401, 20003)
    assert (await sim.get("stats"))["rejected"] == 1


REFUSALS: dict[int, dict[str, str]] = {
    21604: {"To": ""},
    21211: {"To": "whatsapp:911"},
    21603: {"From": ""},
    21212: {"From": "Clínica"},
    21606: {"From": "whatsapp:+5511400000009"},
    21910: {"To": "+5511987654321"},
    21602: {"Body": ""},
    21617: {"Body": "é" * 1601},
    21609: {"StatusCallback": "http://under_score.example.com/"},
    21656: {"ContentVariables": "{"},
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_create_refuses(sim: Simulator, code: int) -> None:
    status, error = await sim.create(**REFUSALS[code])
    assert (status, error["status"], error["code"]) == (400, 400, code)
    assert error["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert await sim.outbound() == []


async def test_list_pages_and_filters(sim: Simulator) -> None:
    made = [(await sim.create(Body=str(place), To=f"{CONTACT}{place % 2}"))[1] for place in range(7)]
    newest_first = [message["sid"] for message in reversed(made)]
    await sim.reached(newest_first[0], "delivered")

    async def listed(**options: object) -> list[str | None]:
        return [message.sid for message in await asyncio.to_thread(sim.client.messages.list, **options)]

    assert await listed(page_size=2) == newest_first
    assert await listed(to=f"{CONTACT}1", from_=NUMBER) == newest_first[1::2]
    assert await listed(from_=CONTACT) == []
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert await listed(date_sent_after=yesterday, limit=3) == newest_first[:3]
    assert await listed(date_sent_before=yesterday.date()) == await listed(date_sent=yesterday.date()) == []


async def test_callbacks_are_signed_and_in_order(sim: Simulator) -> None:
    _, made = await sim.create(StatusCallback=f"{sim.receiver.base}/status?o=a%20b&x=1#rc=0")
    await sim.control("read", sids=[made["sid"]])
    hits = [await sim.receiver.next() for _ in range(3)]
    assert [hit.form["MessageStatus"] for hit in hits] == ["sent", "delivered", "read"]
    assert all(hit.genuine and hit.url.endswith("/status?o=a%20b&x=1") for hit in hits)
    assert {hit.form["MessageSid"] for hit in hits} == {made["sid"]}
    assert len({hit.headers["I-Twilio-Idempotency-Token"] for hit in hits}) == 3
    read = await sim.reached(made["sid"], "read")
    _, foreign = await sim.create(StatusCallback="https://bot.example.com/status")
    await sim.reached(foreign["sid"], "delivered")
    assert (await sim.get("stats"))["callbacks_posted"] == 3
    assert [step["status"] for step in read["history"]] == ["queued", "sent", "delivered", "read"]


CALLBACK_FAULTS: dict[str, dict[str, float]] = {
    "sent sent delivered delivered": {"p_duplicate": 1},
    "delivered sent": {"p_reorder": 1},
    "delivered": {"p_drop": 1, "count": 1},
    "sent undelivered": {"p_undelivered": 1, "error_code": 63024},
}


@pytest.mark.parametrize("statuses", CALLBACK_FAULTS)
async def test_callback_faults(sim: Simulator, statuses: str) -> None:
    await sim.control("faults", callbacks=CALLBACK_FAULTS[statuses])
    await sim.create(StatusCallback=f"{sim.receiver.base}/status")
    hits = [await sim.receiver.next() for _ in statuses.split()]
    assert " ".join(hit.form["MessageStatus"] for hit in hits) == statuses
    assert hits[-1].form.get("ErrorCode") == ("63024" if "undelivered" in statuses else None)


CREATE_FAULTS = {"p_429": "429 0", "p_500": "500 0", "p_refuse": "cut 0"}
CREATE_FAULTS |= {"p_500_after": "500 1", "p_drop": "cut 1", "p_hang": "timeout 1"}


@pytest.mark.parametrize("fault", CREATE_FAULTS)
async def test_create_faults(sim: Simulator, fault: str) -> None:
    await sim.control("faults", create={fault: 1, "count": 1, "delay_ms": 1})
    try:
        async with asyncio.timeout(0.3 if fault == "p_hang" else 5):
            seen = str((await sim.create())[0])
    except aiohttp.ServerDisconnectedError:
        seen = "cut"
    except TimeoutError:
        seen = "timeout"
    assert f"{seen} {len(await sim.outbound())}" == CREATE_FAULTS[fault]
    plan = await sim.get("faults")
    assert (plan["create"]["applied"], plan["create"]["left"]) == ({fault: 1}, 0)
    assert (await sim.create())[0] == 201


async def test_faults_repeat_with_the_seed_and_are_checked(sim: Simulator) -> None:
    runs = []
    for _ in range(2):
        await sim.control("faults", seed=7, create={"p_429": 0.3, "p_500": 0.3})
        runs.append([(await sim.create())[0] for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {201, 429, 500}
    assert "p_429" in (await sim.control("faults", create={"p_42": 1}))["error"]
    assert "at most 1" in (await sim.control("faults", create={"p_429": 0.6, "p_500": 0.6}))["error"]
    await sim.control("faults", list={"p_500": 1, "count": 1})
    with pytest.raises(TwilioException, match="HTTP 500"):
        await asyncio.to_thread(sim.client.messages.list, limit=1)


async def test_inbound_is_signed_and_realistic(sim: Simulator) -> None:
    body = " Olá,\n quero +1 café 😊 "
    answer = await sim.say(body, profile_name="Ana Pérez", params={"Forwarded": "true"})
    hit = await sim.receiver.next()
    assert hit.genuine
    assert hit.form["MessageSid"] == hit.form["SmsMessageSid"] == answer["message_sid"]
    expected = {"From": CONTACT, "To": NUMBER, "WaId": CONTACT[10:], "AccountSid": ACCOUNT, "MessageType": "text"}
    expected |= {"ProfileName": "Ana Pérez", "NumMedia": "0", "Forwarded": "true", "Body": body}
    assert hit.form | expected == hit.form
    assert (answer["ok"], answer["status"], answer["body"], answer["attempts"]) == (True, 200, "<Response/>", 1)


async def test_inbound_duplicates_and_resends_are_identical(sim: Simulator) -> None:
    answer = await sim.say("Sim", button_payload="confirm_1", button_text="Sim", duplicate=2)
    again = await sim.say("other", message_sid=answer["message_sid"])
    hits = [await sim.receiver.next() for _ in range(4)]
    assert (len(answer["duplicates"]), again["index"]) == (2, answer["index"])
    assert all(hit.params == hits[0].params for hit in hits)
    assert len({hit.headers["I-Twilio-Idempotency-Token"] for hit in hits}) == 1
    assert (hits[0].form["MessageType"], hits[0].form["ButtonPayload"]) == ("button", "confirm_1")
    assert (await sim.get("stats"))["inbound_sent"] == 4


# The webhook: the HTTP status, Twilio's error code and the number of tries.
FAILURES = {
    "/webhook": (503, 11200, 1),
    "/webhook?a=1#rc=2&rp=5xx": (503, 11200, 3),
    "/slow#rt=100": (None, 11200, 1),
    "http://127.0.0.1:1/webhook": (None, 11205, 2),
    "http://127.0.0.1:1/webhook#rc=0": (None, 11205, 1),
}


@pytest.mark.parametrize("webhook", FAILURES)
async def test_inbound_tells_of_failure(sim: Simulator, webhook: str) -> None:
    sim.receiver.status = 503
    await sim.put_number(webhook)
    answer = await sim.say()
    assert (answer["status"], answer["error_code"], answer["attempts"]) == FAILURES[webhook]
    hits = [sim.receiver.hits.get_nowait() for _ in range(sim.receiver.hits.qsize())]
    assert all(hit.genuine and "#" not in hit.url for hit in hits)
    (logged,) = (await sim.get("messages", contact=CONTACT))["messages"]
    assert (answer["ok"], logged["webhook"]["ok"], logged["direction"]) == (False, False, "inbound")


async def test_inbound_reads_chunked_answers_and_refuses_nonsense(sim: Simulator) -> None:
    await sim.put_number("/chunked")
    assert (await sim.say())["body"] == "<Response/>"
    assert "one of the numbers" in (await sim.say(to="x"))["error"]
    assert "message_sid" in (await sim.say(message_sid="x"))["error"]


async def test_wait_and_log(sim: Simulator) -> None:
    waiting = asyncio.create_task(sim.get("wait", contact=CONTACT, after=0, timeout=5))
    await sim.create(To="whatsapp:+5511900000000")
    _, made = await sim.create()
    ((sid, index),) = [(message["sid"], message["index"]) for message in (await waiting)["messages"]]
    assert (await sim.get("wait", after=index, timeout=0.01))["messages"] == []
    said = await sim.say()
    log = (await sim.get("messages", contact=CONTACT, since=index))["messages"]
    assert (sid, [message["sid"] for message in log]) == (made["sid"], [said["message_sid"]])
    stats = await sim.get("stats")
    assert (stats["created"], stats["inbound_sent"], stats["messages"]) == (2, 1, 3)


async def test_phone_streams_messages(sim: Simulator) -> None:
    async def event() -> tuple[str, Any]:
        name, data, _ = [(await response.content.readline()).decode() for _ in range(3)]
        return name.strip(), json.loads(data.removeprefix("data: "))

    await sim.say()
    async with sim.http.get(f"{sim.base}/phone/events", params={"number": NUMBER, "contact": CONTACT}) as response:
        assert [message["body"] for message in (await event())[1]] == ["Oi"]
        await sim.create(Body="Pois não?")
        assert [(await event())[1]["status"] for _ in range(3)] == ["queued", "sent", "delivered"]
        await sim.control("reset")
        assert await event() == ("event: snapshot", [])


async def test_phone_page_stands_alone(sim: Simulator) -> None:
    for name, kind in [("", "html"), ("/phone.css", "css"), ("/phone.js", "javascript"), ("/bubbles.js", "javascript")]:
        async with sim.http.get(f"{sim.base}/phone{name}") as response:
            assert (response.status, response.content_type) == (200, f"text/{kind}")
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert not re.search("https?://(?!www.w3.org/2000/svg)|innerHTML", await response.text())
    async with sim.http.get(f"{sim.base}/phone/..%2Ftwilio%2Fstate.py") as response:
        assert response.status == 404
