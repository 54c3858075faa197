"""Run all of Recado for one scenario in one event loop: database, API, worker, simulated Twilio and model."""

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
from devkit import stack
from devkit.database_urls import DatabaseUrls
from devkit.scenarios.clock import VirtualLoop
from devkit.scenarios.database_probe import DatabaseProbe
from devkit.scenarios.model import ScenarioModel
from devkit.scenarios.schema import ScenarioFile
from devkit.scenarios.simulated_twilio import SimulatedTwilio
from devkit.scenarios.tool_servers import TOOL_SECRET, serve_tools
from devkit.scenarios.transcript import Transcript
from devkit.scenarios.worker import KillableWorker
from devkit.serving import address_of, listen
from devkit.stack import LOOPBACK, WEBHOOK_PATH, Number, TenantSetup
from manifest.loader import LoadedAssistant

TENANT = "scenario"
NUMBER = "whatsapp:+551140000000"
ACCOUNT_SID = "AC" + "0" * 32


@dataclass(frozen=True)
class ScenarioServers:
    """The database of one scenario, and the Redis that its nudges are sent to."""

    databases: DatabaseUrls
    redis_url: str


class ScenarioEnvironment:
    """The running system of a scenario, and the actions on it that do not come through Twilio."""

    def __init__(
        self,
        settings: Settings,
        loop: VirtualLoop,
        system: Database,
        twilio: SimulatedTwilio,
        model: ScenarioModel,
        api: Any,
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._system = system
        self._api = api
        self._workers: list[KillableWorker] = []
        self.twilio = twilio
        self.model = model
        self.probe = DatabaseProbe(system)

    @property
    def worker(self) -> KillableWorker:
        """The worker that runs."""
        return self._workers[-1]

    @property
    def _inbox(self) -> Inbox:
        found: Inbox = self._api.state.dependencies.inbox
        return found

    async def start_worker(self) -> None:
        """Start a worker."""
        worker = KillableWorker(self._settings, self._loop.clock)
        await worker.start(self.model.port, self.model.access)
        self._workers.append(worker)

    async def kill_worker(self) -> None:
        """Kill the worker, and start the next one when Postgres has released the lock of the first."""
        self.worker.kill()
        await self.probe.wait_until_no_worker_is_alive()
        await self.start_worker()
        await self.nudge()

    async def stop_workers(self) -> None:
        """End all workers, and what is left of killed ones."""
        for worker in self._workers:
            await worker.stop()

    async def nudge(self) -> None:
        """Nudge the worker about all pending conversations. Redis has no virtual time, so its queue is not read."""
        for found in await self.probe.pending_conversations():
            self.worker.nudge(found.tenant_id, found.id, found.due_at.timestamp())

    async def fire_timers(self) -> None:
        """Fire the timers that are due, as the scheduler does every second."""
        nudger = Nudger(broker.make_broker(self._settings.redis_url))
        if await inbox.fire_timers(self._system, nudger, self._loop.clock):
            await self.nudge()

    async def interrupt(self) -> PendingInterrupt | None:
        """Return the oldest interrupt that waits for an operator, or None."""
        waiting = await conversations.pending_interrupts(self._system, TENANT)
        return waiting[0] if waiting else None

    async def decide(self, interrupt: PendingInterrupt, decision: OperatorDecision) -> None:
        """Decide an interrupt as an operator. Raises ConflictError when it is closed, or of another kind."""
        async with Database(self._settings.database_url, size=1) as tenants:
            await decisions.decide(self._system, Assistants(tenants), self._inbox, interrupt.id, decision)
        await self.nudge()


@asynccontextmanager
async def run_environment(
    servers: ScenarioServers,
    manifest: LoadedAssistant,
    document: ScenarioFile,
    model: ScenarioModel,
    transcript: Transcript,
) -> AsyncIterator[ScenarioEnvironment]:
    """Run everything for one scenario, with the manifest published under the scenario's number."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "scenarios run on virtual time"
    listener = listen()
    contact = document.contact
    number = Number(ACCOUNT_SID, secrets.token_hex(16), NUMBER)
    twilio = SimulatedTwilio(number, contact.address, contact.name, loop.clock, transcript)
    async with AsyncExitStack() as exit_stack:
        system = await exit_stack.enter_async_context(Database(servers.databases.system, role=Role.SYSTEM, size=1))
        exit_stack.push_async_callback(twilio.stop)
        await twilio.start(address_of(listener) + WEBHOOK_PATH)
        exit_stack.push_async_callback(model.stop)
        await model.start()
        settings = Settings(
            database_url=servers.databases.app,
            system_database_url=servers.databases.system,
            redis_url=servers.redis_url,
            public_url=address_of(listener),
            secret_key=new_secret_key(),
            twilio_api_url=f"http://127.0.0.1:{twilio.port}",
            allowed_networks=(ip_network(LOOPBACK),),
        )
        manifest = await exit_stack.enter_async_context(serve_tools(document.with_, manifest))
        tokens = {secret.name: TOOL_SECRET for secret in missing_secrets(TENANT, manifest, ())}
        setup = TenantSetup(TENANT, manifest, number, tokens)
        await stack.set_up_tenant(system, settings.secret_key, setup, loop.clock)
        api = await exit_stack.enter_async_context(stack.serve_api(settings, loop.clock, listener))
        environment = ScenarioEnvironment(settings, loop, system, twilio, model, api)
        exit_stack.push_async_callback(environment.stop_workers)
        await environment.start_worker()
        yield environment
