"""The system under test: servers, simulators and Recado's processes, which the bench can measure, kill and restart."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.clock import utc_now
from app.crypto import new_secret_key
from app.db import Database, Role
from bench import process_usage
from devkit.database_urls import DatabaseUrls
from devkit.embedded.process import free_port
from devkit.stack import Number, Servers, Stack, TenantSetup, run_servers, set_up_tenant, simulated_environment
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import MAIN, load

BENCH_FOLDER = Path(__file__).parent
TENANT_FOLDER = BENCH_FOLDER / "tenants" / "bench"
MODEL_SCRIPT = BENCH_FOLDER / "scripts" / "bench.yaml"
ACCOUNT_SID = "AC" + "b" * 32

NO_DEBOUNCE = "debounce: 0ms"
"""The text in the tenant's `assistant.yaml` that the second tenant replaces by LONG_DEBOUNCE."""
LONG_DEBOUNCE = "debounce: 300ms"


@dataclass(frozen=True)
class StackOptions:
    """How to assemble the system under test.

    Without `twilio_url` the simulated Twilio is started. `settings` are environment variables.
    `tenant_edits` maps texts in the tenants' `assistant.yaml` to their replacements.
    """

    workers: int = 1
    twilio_url: str | None = None
    settings: Mapping[str, str] | None = None
    tenant_edits: Mapping[str, str] | None = None


class BenchStack(Stack):
    """A stack that reports the CPU time and the memory of its processes.

    It has one number for each of its two tenants. The tenants differ only in their debounce.
    """

    def __init__(self, folder: Path, servers: Servers, environment: Mapping[str, str], twilio_url: str | None) -> None:
        addresses = {"api": _free_address(), "model": _free_address(), "twilio": twilio_url or _free_address()}
        model = simulated_environment(addresses["model"], ["openai"])
        recado = {"RECADO_SECRET_KEY": new_secret_key(), "RECADO_LOG_FORMAT": "json"}
        super().__init__(folder, servers, {**environment, **model, **recado}, addresses)
        token = secrets.token_hex(16)
        self.number = Number(ACCOUNT_SID, token, "whatsapp:+551140000001")
        self.debounced_number = Number(ACCOUNT_SID, token, "whatsapp:+551140000002")

    def cpu_seconds(self) -> dict[str, float]:
        """Return the seconds of CPU that each running process has used. `bench` is this process."""
        pids = {name: child.pid for name, child in self.children.items() if child.alive}
        for name, server in (("postgres", self.servers.postgres), ("valkey", self.servers.valkey)):
            if server is not None and server.pid is not None:
                pids[name] = server.pid
        used = {name: process_usage.cpu_seconds(pid) for name, pid in pids.items()}
        return used | {"bench": process_usage.cpu_seconds_of_this_process()}

    def resident_mb(self, name: str) -> float:
        """Return the resident memory of a process, in megabytes."""
        return process_usage.resident_mb(self.children[name].pid)


@asynccontextmanager
async def run_stack(folder: Path, options: StackOptions) -> AsyncIterator[BenchStack]:
    """Run servers and simulators, with migrated tables and published tenants.

    Recado's own processes are defined and not started. Everything is ended with the block.
    Raises RecadoError when something does not start.
    """
    async with AsyncExitStack() as exits:
        environment = {k: v for k, v in os.environ.items() if k not in _removed_variables()}
        environment |= options.settings or {}
        servers = exits.enter_context(
            run_servers(folder, databases=DatabaseUrls.given(environment), redis_url=environment.get("REDIS_URL"))
        )
        stack = BenchStack(folder, servers, environment, options.twilio_url)
        applied = list(servers.databases.migrate())
        await _publish_tenants(stack, options.tenant_edits or {})
        exits.callback(stack.stop)
        stack.add_model([MODEL_SCRIPT], "--no-log")
        if options.twilio_url is None:
            stack.add_twilio([stack.number, stack.debounced_number])
        stack.add_recado(workers=options.workers)
        stack.start("model", *([] if options.twilio_url else ["twilio"]))
        (folder / "logs" / "migrations.log").write_text("\n".join(migration.name for migration in applied))
        yield stack


def _removed_variables() -> set[str]:
    # Without keys no real provider can be called. Without byte code every start would compile all packages again.
    return {"PYTHONDONTWRITEBYTECODE", *(provider.key_variable for provider in PROVIDERS.values())}


async def _publish_tenants(stack: BenchStack, edits: Mapping[str, str]) -> None:
    files = dict(load_folder(TENANT_FOLDER).files)
    for old, new in edits.items():
        assert old in files[MAIN], f"{TENANT_FOLDER / MAIN} has no {old!r}: change the edit or the file"
        files[MAIN] = files[MAIN].replace(old, new)
    debounced = files | {MAIN: files[MAIN].replace(NO_DEBOUNCE, LONG_DEBOUNCE)}
    tenants = (("bench", stack.number, files), ("bench-debounced", stack.debounced_number, debounced))
    async with Database(stack.servers.databases.system, role=Role.SYSTEM, size=1) as database:
        for slug, number, content in tenants:
            setup = TenantSetup(slug, load(content), number)
            await set_up_tenant(database, stack.environment["RECADO_SECRET_KEY"], setup, utc_now)


def _free_address() -> str:
    return f"http://127.0.0.1:{free_port()}"
