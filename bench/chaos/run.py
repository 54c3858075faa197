"""One chaos run: assemble the system, send messages while faults are injected, and check the result."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import cleanup
from bench.chaos import oracle
from bench.chaos.bad_machine import DEAD_NAMES
from bench.chaos.database_findings import DatabaseFindings, read_findings, read_rows_of_contacts
from bench.chaos.fault_injector import FaultInjector
from bench.chaos.fault_record import FaultRecord
from bench.chaos.message_plan import PlannedMessage, plan_messages
from bench.chaos.message_sender import MessageSender, SendCounts
from bench.chaos.oracle import Violation
from bench.chaos.process_restarter import ProcessRestarter
from bench.chaos.simulator_faults import MODEL_FAULTS, MODEL_WITHOUT_FAULTS, TWILIO_FAULTS
from bench.chaos.twilio_log import TwilioLogReader
from bench.simulator_control import SimulatorControl
from bench.stack import TENANT_FOLDER, BenchStack, StackOptions, run_stack
from bench.storage import BenchStorage, open_storage
from bench.webhook_client import WebhookClient, contact_address
from devkit.simulators.lossy_proxy import LossyProxy, lossy
from devkit.stack import Number
from manifest.folder import load_folder

SECONDS_PER_KILL = 2.4
"""How long the contacts write, for each kill that is asked for."""
MISSING_KILLS_TIMEOUT = 60.0
"""Seconds to wait for kills that are still missing when all messages are acknowledged."""
IDLE_TIMEOUT = 120.0
DEBOUNCED_EVERY = 4
"""One contact in so many writes to the tenant with a debounce."""

RECADO_SETTINGS = {
    # Workers are killed often here. With production's limit, a turn that is not at fault would be parked.
    "RECADO_TURN_ATTEMPTS": "50",
    "RECADO_SEND_TIMEOUT": "1.5",
    "RECADO_UNKNOWN_WINDOW": "60",
    "RECADO_TURN_TIMEOUT": "30",
}
TENANT_EDITS = {
    "timeout: 20s": "timeout: 4s",
    "tools: [find_slots, book_slot]": "tools: [find_slots, book_slot, look_up]",
    "memory: {window: 20}": f"""memory: {{window: 20}}

tools:
  look_up:
    description: Busca um item no estoque.
    parameters: {{type: object, properties: {{}}, additionalProperties: false}}
    http: {{url: "http://estoque{DEAD_NAMES}/itens"}}
    timeout: 2s""",
}
"""The tool's host is never found. Its tenant's other turns, and other tenants' turns, go on meanwhile."""


@dataclass(frozen=True)
class ChaosOptions:
    """The size of a run. `kills` is a minimum."""

    messages: int
    kills: int
    contacts: int
    workers: int
    seed: int

    @property
    def seconds(self) -> float:
        """Return how long the contacts write, in seconds."""
        return self.kills * SECONDS_PER_KILL


@dataclass(frozen=True)
class ChaosResult:
    """The counts and the violations of a run.

    `delays` are the seconds from the commit of each reply to its acceptance by Twilio, in ascending order.
    `idle_after` is the seconds from the last fault until no work was left, or None when that took too long.
    """

    sent: SendCounts
    faults: FaultRecord
    findings: DatabaseFindings
    simulator_faults: Mapping[str, Any]
    violations: Sequence[Violation]
    delays: Sequence[float]
    fault_seconds: float
    idle_after: float | None

    @property
    def failed(self) -> bool:
        """Return whether something happened that must not happen."""
        checks_failed = any(self.findings.failed_checks.values())
        return bool(self.violations or checks_failed or self.sent.refused or self.idle_after is None)


class ChaosRun:
    """Runs one plan of messages against a running stack."""

    def __init__(
        self,
        stack: BenchStack,
        storage: BenchStorage,
        model: SimulatorControl,
        twilio: SimulatorControl,
        proxy: LossyProxy,
        options: ChaosOptions,
    ) -> None:
        self._proxy = proxy
        self._stack = stack
        self._storage = storage
        self._model = model
        self._twilio = twilio
        self._options = options
        self._replies = TwilioLogReader(twilio)
        self._client = WebhookClient(stack.addresses["api"])
        self._sender = MessageSender(self._client, self._number_of, options.seed, self._replies.is_answered)
        self.faults = FaultRecord()
        self._restarter = ProcessRestarter(stack, options.seed, self.faults)
        self._injector = FaultInjector(
            stack, storage, self._restarter, proxy, twilio, self.faults, options.kills, options.seed, self._progress
        )

    async def execute(self, plan: Sequence[Sequence[PlannedMessage]]) -> ChaosResult:
        """Send all messages while faults are injected, wait until the system is idle, and check the result."""
        seed = {"seed": self._options.seed}
        await self._model.post("faults", {**MODEL_FAULTS, **seed})
        await self._twilio.post("faults", {**TWILIO_FAULTS, **seed})
        self._replies.start()
        started = time.monotonic()
        self._restarter.start()
        self._injector.start()
        await self._sender.send_all(plan)
        await self._wait_for_missing_kills()
        self._restarter.disable_self_kills()
        await self._injector.stop()
        fault_seconds = time.monotonic() - started
        self.faults.lost_answers = self._proxy.lost
        simulator_faults = {"model": await self._model.get("faults"), "twilio": await self._twilio.get("faults")}
        await self._model.post("faults", MODEL_WITHOUT_FAULTS)
        await self._twilio.post("faults", {})
        idle_after = await self._storage.wait_until_idle(IDLE_TIMEOUT)
        await self._replies.stop()
        await self._replies.read()
        findings = await read_findings(self._storage, load_folder(TENANT_FOLDER).assistant.apology)
        violations, delays = self._find_violations(plan, findings), self._reply_delays(findings)
        return ChaosResult(
            self._sender.counts,
            self.faults,
            findings,
            simulator_faults,
            violations,
            delays,
            fault_seconds,
            idle_after,
        )

    async def close(self) -> None:
        """Stop faults and restarts, so that the stack can be stopped."""
        await self._replies.stop()
        await self._restarter.close()
        await self._injector.close()
        self._client.close()

    def _number_of(self, contact: int) -> Number:
        debounced = contact % DEBOUNCED_EVERY == DEBOUNCED_EVERY - 1
        return self._stack.debounced_number if debounced else self._stack.number

    def _progress(self) -> float:
        return len(self._sender.counts.acknowledged) / self._options.messages

    async def _wait_for_missing_kills(self) -> None:
        deadline = time.monotonic() + MISSING_KILLS_TIMEOUT
        while self.faults.total_kills < self._options.kills and time.monotonic() < deadline:
            await asyncio.sleep(0.2)

    def _reply_delays(self, findings: DatabaseFindings) -> list[float]:
        commits = findings.reply_commits
        return sorted(
            reply.accepted_at - commits[reply.outbox_id]
            for reply in self._replies.delivered
            if reply.outbox_id in commits
        )

    def _find_violations(self, plan: Sequence[Sequence[PlannedMessage]], findings: DatabaseFindings) -> list[Violation]:
        # A message that was never acknowledged may be lost: its contact knows that it was not received.
        acknowledged = self._sender.counts.acknowledged
        written = {
            contact_address(messages[0].contact): [m.token for m in messages if m.token in acknowledged]
            for messages in plan
            if messages
        }
        exempt = {body.partition(" ")[0] for body in findings.without_reply}
        requested = {
            message.booking: contact_address(message.contact)
            for messages in plan
            for message in messages
            if message.booking and message.token in acknowledged and message.token not in exempt
        }
        return [
            *oracle.find_violations(written, self._replies.delivered, exempt),
            *oracle.find_booking_violations(requested, findings.appointments, findings.journal),
        ]


async def run_chaos(folder: Path, options: ChaosOptions) -> ChaosResult:
    """Run everything from an empty folder, and return the result.

    Leaves `logs/faults.log` in the folder, and `logs/evidence.json` when the run failed.
    """
    plan = plan_messages(options.messages, options.contacts, options.seconds, options.seed, datetime.now(UTC).date())
    stack_options = StackOptions(workers=options.workers, settings=RECADO_SETTINGS, tenant_edits=TENANT_EDITS)
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(cleanup.cancel_on_sigterm())
        stack = await exits.enter_async_context(run_stack(folder, stack_options))
        storage = await exits.enter_async_context(open_storage(stack.servers.databases, stack.servers.redis_url))
        model = await exits.enter_async_context(SimulatorControl(stack.addresses["model"]))
        twilio = await exits.enter_async_context(SimulatorControl(stack.addresses["twilio"]))
        databases = stack.servers.databases
        proxy = await exits.enter_async_context(lossy(databases.app))
        stack.environment |= replace(databases, app=proxy.url, system=proxy.through(databases.system)).processes
        stack.add_recado(workers=options.workers)
        run = ChaosRun(stack, storage, model, twilio, proxy, options)
        exits.push_async_callback(run.close)
        try:
            result = await run.execute(plan)
        finally:
            (folder / "logs" / "faults.log").write_text("\n".join(run.faults.events) + "\n")
        if result.failed:
            await _write_evidence(folder / "logs" / "evidence.json", storage, twilio, result)
        return result


async def _write_evidence(path: Path, storage: BenchStorage, twilio: SimulatorControl, result: ChaosResult) -> None:
    """Write the violations, all rows of their contacts, and all messages of the simulated Twilio."""
    violations = [*result.violations]
    for check, rows in result.findings.failed_checks.items():
        violations += [Violation(check, row["address"], str(row)) for row in rows]
    evidence = {
        "violations": [vars(violation) for violation in violations],
        "contacts": await read_rows_of_contacts(storage, violations),
        "twilio": await twilio.get("messages", direction="outbound"),
    }
    path.write_text(json.dumps(evidence, indent=1, ensure_ascii=False, default=str))
