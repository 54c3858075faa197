"""Run the system under test, send it signed webhooks, and read Twilio's messages and the database's rows."""

import asyncio
import io
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import aiohttp
from yarl import URL

from app import worker
from app.assistants import service as assistants
from app.channels.base import Credentials
from app.config import Settings
from app.crypto import SecretBox, new_secret_key
from app.db import Database, Role
from app.identity import service as identity
from app.telemetry import Milestone
from app.turns.engine import Engine
from devkit import stack
from devkit.database_urls import DatabaseUrls
from devkit.serving import address_of, listen
from devkit.simulators.twilio.signing import sign
from devkit.stack import Number, TenantSetup
from manifest.folder import load_folder
from manifest.loader import Files, LoadedAssistant, load

ACCOUNT_SID = "AC" + "a" * 32
TOKEN = "a-token-of-the-tests"
NUMBER = "whatsapp:+551140000001"
CONTACT = "whatsapp:+5511990000001"
TENANT = "clinica"
TENANTS = Path(__file__).parent / "data" / "tenants"
PATIENCE = 20.0
"""Seconds after which a test stops waiting and fails."""


@dataclass(frozen=True)
class SimulatorUrls:
    """The URLs of the simulators."""

    twilio: str
    model: str


class TestClock:
    """A clock that runs with the wall clock. The test can advance it."""

    __test__ = False

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self._ahead += timedelta(seconds=seconds)


class Log(io.TextIOBase):
    """A replacement of stderr that keeps what is logged. It is set before logging, because loggers keep their file."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> int:
        """Keep the text, and write it to stderr, which pytest captures."""
        self._text += text
        return sys.stderr.write(text)

    def clear(self) -> None:
        """Forget what was written."""
        self._text = ""

    @property
    def text(self) -> str:
        """All that was written."""
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log events: one object for each line."""
        return [json.loads(line) for line in self._text.splitlines()]


@dataclass
class Platform:
    """The running system: an API, a worker's engine, and one tenant with one number. Methods add more of them."""

    settings: Settings
    urls: DatabaseUrls
    servers: SimulatorUrls
    http: aiohttp.ClientSession
    system: Database
    clock: TestClock
    reached: list[Milestone] = field(default_factory=list)
    at_milestone: Callable[[Milestone], None] | None = None
    engine: Engine | None = None

    # Messages to the system.

    def webhook(self, body: str, *, contact: str = CONTACT, **fields: str) -> list[tuple[str, str]]:
        """Return the parameters of a message as Twilio posts them. `fields` replace single parameters."""
        sid = fields.pop("MessageSid", f"SM{uuid.uuid4().hex}")
        values = {
            "SmsMessageSid": sid,
            "NumMedia": "0",
            "ProfileName": "Ana Pérez",
            "MessageType": "text",
            "SmsSid": sid,
            "WaId": contact.removeprefix("whatsapp:+"),
            "SmsStatus": "received",
            "Body": body,
            "To": NUMBER,
            "NumSegments": "1",
            "MessageSid": sid,
            "AccountSid": ACCOUNT_SID,
            "From": contact,
            "ApiVersion": "2010-04-01",
        }
        return list((values | fields).items())

    async def post(
        self,
        parameters: list[tuple[str, str]],
        *,
        path: str = "/api/v1/twilio/webhook",
        token: str = TOKEN,
        headers: Mapping[str, str] | None = None,
        at: str | None = None,
        signed: str | None = None,
    ) -> tuple[int, str]:
        """Post a signed request, and return status and body of the answer.

        `at` is the base URL to post to, and `signed` the base URL that the signature covers. Both are the public URL by
        default.
        """
        url = (signed or self.settings.public_url) + path
        signature = {"X-Twilio-Signature": sign(url, parameters, token)}
        request = URL((at or self.settings.public_url) + path, encoded=True)
        async with self.http.post(request, data=parameters, headers={**signature, **(headers or {})}) as answer:
            return answer.status, await answer.text()

    async def post_form(self, body: bytes) -> tuple[int, str]:
        """Post the bytes of a form, signed over what they stand for, and return status and body of the answer."""
        url = f"{self.settings.public_url}/api/v1/twilio/webhook"
        parts = (part.replace(b"+", b" ").partition(b"=") for part in body.split(b"&"))
        pairs = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in parts]
        headers = {"X-Twilio-Signature": sign(url, pairs, TOKEN), "Content-Type": "application/x-www-form-urlencoded"}
        async with self.http.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def say(self, body: str, *, contact: str = CONTACT, **fields: str) -> None:
        """Post a message of the contact. The webhook must accept it."""
        status, text = await self.post(self.webhook(body, contact=contact, **fields))
        assert (status, text) == (200, '<?xml version="1.0" encoding="UTF-8"?><Response/>')

    async def nudge(self) -> None:
        """Nudge the engine about all pending conversations, as the queue does. A sweep leaves them for a second."""
        assert self.engine is not None
        for found in await self.rows("select tenant_id, id, due_at from conversations where pending > 0"):
            self.engine.nudge(found["tenant_id"], found["id"], found["due_at"].timestamp())

    # Messages from the system.

    async def control(self, server: str, path: str, body: Any = None) -> Any:
        """Send a request to a simulator's control endpoint, and return its JSON. A body makes it a POST."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{server}/control/{path}", json=body) as answer:
            result = await answer.json()
            assert answer.status == 200, result
            return result

    async def delivered(self, contact: str = CONTACT) -> list[str]:
        """Return the texts that Twilio has for the contact, oldest first."""
        answer = await self.control(
            self.servers.twilio, f"messages?direction=outbound&contact={contact.replace('+', '%2B')}"
        )
        return [message["body"] for message in answer["messages"]]

    async def replies(self, count: int, contact: str = CONTACT) -> list[str]:
        """Wait until Twilio has `count` messages for the contact and nothing is due, and return all texts."""

        async def enough() -> bool:
            return len(await self.delivered(contact)) >= count

        await self.until(enough, f"{count} replies")
        await self.quiet()
        return await self.delivered(contact)

    async def quiet(self) -> None:
        """Wait until nothing is due, no conversation has an owner, and no reply is being sent."""

        async def nothing_left() -> bool:
            busy = await self.rows(
                """select 1 from conversations where owner is not null or (pending > 0 and due_at <= %(now)s)
                   union all
                   select 1 from outbox where status in ('queued', 'sending')""",
                # What becomes due while the query is on its way counts, too.
                now=self.clock() + timedelta(seconds=0.1),
            )
            return not busy

        await self.until(nothing_left, "the system to be idle")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of processes of Recado beside the platform."""
        return {
            **self.urls.processes,
            "REDIS_URL": self.settings.redis_url,
            "RECADO_PUBLIC_URL": self.settings.public_url,
            "RECADO_SECRET_KEY": self.settings.secret_key,
            "RECADO_TWILIO_API_URL": self.settings.twilio_api_url,
            "OPENAI_API_KEY": "key",
            "OPENAI_BASE_URL": f"{self.servers.model}/v1",
        }

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until the condition holds. Fail after PATIENCE seconds."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, f"gave up waiting for {what}"
            await asyncio.sleep(0.02)

    # The database.

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query, of all tenants."""
        async with self.system.statement() as tx:
            return await tx.all(dict, query, parameters)

    async def row(self, query: str, **parameters: Any) -> dict[str, Any]:
        """Return the only row of a query."""
        (found,) = await self.rows(query, **parameters)
        return found

    # Tenants and processes.

    async def publish(self, slug: str, files: Files) -> None:
        """Publish an assistant."""
        await assistants.publish(self.system, slug, load(files), self.clock)

    async def republish(self, old: str, new: str, slug: str = TENANT) -> None:
        """Publish the test tenant's assistant with a replacement in its YAML."""
        files = dict(tenant_manifest().files)
        assert old in files["assistant.yaml"], old
        files["assistant.yaml"] = files["assistant.yaml"].replace(old, new)
        await self.publish(slug, files)

    async def set_up_tenant(self, setup: TenantSetup) -> None:
        """Publish a tenant with its secrets and its number, here and at Twilio."""
        await stack.set_up_tenant(self.system, self.settings.secret_key, setup, self.clock)
        number = setup.number.as_simulated(self.settings.public_url)
        # Without the fragment Twilio does not retry, so a test sees every answer of the webhook.
        number["webhook_url"] = number["webhook_url"].partition("#")[0]
        await self.control(self.servers.twilio, "numbers", number)

    async def add_channel(self, slug: str, address: str, account_sid: str = ACCOUNT_SID, token: str = TOKEN) -> None:
        """Add a number to a published tenant, here and at Twilio."""
        box = SecretBox(self.settings.secret_key)
        await identity.add_channel(self.system, box, slug, Credentials(account_sid, token), address)
        number = Number(account_sid, token, address).as_simulated(self.settings.public_url)
        number["webhook_url"] = number["webhook_url"].partition("#")[0]
        await self.control(self.servers.twilio, "numbers", number)

    @asynccontextmanager
    async def worker(self, **changes: Any) -> AsyncIterator[Engine]:
        """Run another worker's engine during the block. `changes` replace settings."""
        settings = replace(self.settings, **changes)
        async with worker.engine(settings, clock=self.clock, on_milestone=self._note) as engine:
            yield engine

    @asynccontextmanager
    async def api(self, **changes: Any) -> AsyncIterator[str]:
        """Run another API during the block, and yield its address. `changes` replace settings."""
        with listen() as listener:
            async with stack.serve_api(replace(self.settings, **changes), self.clock, listener):
                yield address_of(listener)

    def _note(self, milestone: Milestone) -> None:
        self.reached.append(milestone)
        if self.at_milestone is not None:
            self.at_milestone(milestone)


@cache
def tenant_manifest() -> LoadedAssistant:
    """Return the test tenant. Reading YAML would take a third of a test's CPU."""
    return load_folder(TENANTS / TENANT)


@asynccontextmanager
async def running_platform(
    database_url: str, redis_url: str, servers: SimulatorUrls, http: aiohttp.ClientSession
) -> AsyncIterator[Platform]:
    """Run the platform during the block, with the test tenant published under its number."""
    listener = listen()
    urls = DatabaseUrls.of_owner(database_url)
    settings = Settings(
        database_url=urls.app,
        system_database_url=urls.system,
        redis_url=redis_url,
        public_url=address_of(listener),
        secret_key=new_secret_key(),
        twilio_api_url=servers.twilio,
        providers=stack.simulated_access(servers.model, "key"),
        sweep_interval=0.05,
        send_timeout=2.0,
    )
    clock = TestClock()
    async with AsyncExitStack() as exits:
        system = await exits.enter_async_context(Database(urls.system, role=Role.SYSTEM, size=2))
        platform = Platform(settings, urls, servers, http, system, clock)
        await exits.enter_async_context(stack.serve_api(settings, clock, listener))
        await platform.set_up_tenant(TenantSetup(TENANT, tenant_manifest(), Number(ACCOUNT_SID, TOKEN, NUMBER)))
        platform.engine = await exits.enter_async_context(platform.worker())
        yield platform
