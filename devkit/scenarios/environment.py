"""All of Recado for one scenario, in one loop: a database of its own, the API, a worker, a phone and a model."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from app import broker
from app.assistants.required_secrets import missing_secrets
from app.assistants.service import Assistants
from app.broker import Nudger
from app.config import Settings
from app.conversations import service as conversations
from app.conversations.queries import PendingInterrupt
from app.crypto import new_secret_key
from app.db import Database, Role
from app.inbox import decisions
from app.inbox import service as inbox
from app.inbox.decisions import OperatorDecision
from app.inbox.service import Inbox
from devkit import stack as whole
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.db_probe import Ledger
from devkit.scenarios.model import Model
from devkit.scenarios.phone import Phone
from devkit.scenarios.schema import ScenarioFile
from devkit.scenarios.tool_servers import SCRIPTED, served
from devkit.scenarios.transcript import Transcript
from devkit.scenarios.worker import Worker
from devkit.serving import address_of, listen
from devkit.stack import LOOPBACK, WEBHOOK_PATH, Number, TenantSetup
from manifest.loader import LoadedAssistant

TENANT = "scenario"
NUMBER = "whatsapp:+551140000000"
ACCOUNT_SID = "AC" + "0" * 32


@dataclass(frozen=True)
class ScenarioServers:
    """The database of one scenario, and the Redis that takes its nudges."""

    database_url: str
    redis_url: str


class Stage:
    """The running system, and what can be done to it from outside."""

    def __init__(
        self, settings: Settings, loop: VirtualLoop, system: Database, phone: Phone, model: Model, api: Any
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._system = system
        self._api = api
        self._workers: list[Worker] = []
        self.phone = phone
        self.model = model
        self.ledger = Ledger(system)

    @property
    def worker(self) -> Worker:
        """The one that lives."""
        return self._workers[-1]

    @property
    def _inbox(self) -> Inbox:
        found: Inbox = self._api.state.dependencies.inbox
        return found

    async def start_worker(self) -> None:
        """One worker, or the next."""
        fresh = Worker(self._settings, self._loop.clock)
        await fresh.start(self.model.port, self.model.access)
        self._workers.append(fresh)

    async def kill_worker(self) -> None:
        """The worker dies, and the supervisor starts the next one when Postgres has noticed."""
        self.worker.kill()
        await self.ledger.nobody_lives()
        await self.start_worker()
        await self.nudge()

    async def stop_workers(self) -> None:
        """Ends them all, the dead ones' remains too."""
        for one in self._workers:
            await one.stop()

    async def nudge(self) -> None:
        """Brings the worker the nudges that the queue would have brought: Redis has no virtual time."""
        for found in await self.ledger.pending():
            self.worker.nudge(found.tenant_id, found.id, found.due_at.timestamp())

    async def fire_timers(self) -> None:
        """What the scheduler does every second."""
        nudger = Nudger(broker.make_broker(self._settings.redis_url))
        if await inbox.fire_timers(self._system, nudger, self._loop.clock):
            await self.nudge()

    async def interrupt(self) -> PendingInterrupt | None:
        """What waits for an operator, the oldest first."""
        waiting = await conversations.pending_interrupts(self._system, TENANT)
        return waiting[0] if waiting else None

    async def decide(self, interrupt: PendingInterrupt, decision: OperatorDecision) -> None:
        """An operator decides. Raises ConflictError when the interrupt does not take that, or no longer waits."""
        async with Database(self._settings.database_url, size=1) as tenants:
            await decisions.decide(self._system, Assistants(tenants), self._inbox, interrupt.id, decision)
        await self.nudge()


@asynccontextmanager
async def staged(
    servers: ScenarioServers, manifest: LoadedAssistant, document: ScenarioFile, model: Model, transcript: Transcript
) -> AsyncIterator[Stage]:
    """Run everything for one scenario, with the manifest published under the scenario's number."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "scenarios run on virtual time"
    listener = listen()
    contact = document.contact
    number = Number(ACCOUNT_SID, secrets.token_hex(16), NUMBER)
    phone = Phone(number, contact.address, contact.name, loop.clock, transcript)
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(Database(servers.database_url, role=Role.SYSTEM, size=1))
        stack.push_async_callback(phone.stop)
        await phone.start(address_of(listener) + WEBHOOK_PATH)
        stack.push_async_callback(model.stop)
        await model.start()
        settings = Settings(
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            public_url=address_of(listener),
            secret_key=new_secret_key(),
            twilio_api_url=f"http://127.0.0.1:{phone.port}",
            allowed_networks=(ip_network(LOOPBACK),),
        )
        manifest = await stack.enter_async_context(served(document.with_, manifest))
        tokens = {secret.name: SCRIPTED for secret in missing_secrets(TENANT, manifest, ())}
        setup = TenantSetup(TENANT, manifest, number, tokens)
        await whole.set_up_tenant(system, settings.secret_key, setup, loop.clock)
        application = await stack.enter_async_context(whole.serve_api(settings, loop.clock, listener))
        stage = Stage(settings, loop, system, phone, model, application)
        stack.push_async_callback(stage.stop_workers)
        await stage.start_worker()
        yield stage
