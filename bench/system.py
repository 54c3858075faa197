"""The system under test: a stack whose processes the driver measures, kills and restarts."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.clock import utc_now
from app.crypto import new_secret_key
from app.db import Database, Role
from bench import usage
from devkit.database_urls import DatabaseUrls
from devkit.embedded.process import free_port
from devkit.stack import Number, Servers, Stack, TenantSetup, run_servers, set_up_tenant, simulated_environment
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import MAIN, load

HERE = Path(__file__).parent
TENANT = HERE / "tenants" / "bench"
SCRIPT = HERE / "scripts" / "bench.yaml"
ACCOUNT_SID = "AC" + "b" * 32

DEBOUNCE = "debounce: 0ms"
"""The debounce in the tenant's file. The folding tenant has FOLDING in its place."""
FOLDING = "debounce: 300ms"


@dataclass(frozen=True)
class Plan:
    """The parts of the system. Without `twilio_url` the simulated Twilio is one of them.

    `tenant_edits` are replacements of text in the tenants' YAML.
    """

    workers: int = 1
    twilio_url: str | None = None
    settings: Mapping[str, str] | None = None
    tenant_edits: Mapping[str, str] | None = None


class System(Stack):
    """A stack with two tenants, and the CPU time and memory of its processes."""

    def __init__(self, folder: Path, servers: Servers, environment: Mapping[str, str], twilio_url: str | None) -> None:
        addresses = {"api": _free_address(), "model": _free_address(), "twilio": twilio_url or _free_address()}
        model = simulated_environment(addresses["model"], ["openai"])
        own = {"RECADO_SECRET_KEY": new_secret_key(), "RECADO_LOG_FORMAT": "json"}
        super().__init__(folder, servers, {**environment, **model, **own}, addresses)
        token = secrets.token_hex(16)
        self.number = Number(ACCOUNT_SID, token, "whatsapp:+551140000001")
        self.folding_number = Number(ACCOUNT_SID, token, "whatsapp:+551140000002")

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU that each running part has used, and this driver."""
        pids = {name: child.pid for name, child in self.children.items() if child.alive}
        for name, server in (("postgres", self.servers.postgres), ("valkey", self.servers.valkey)):
            if server is not None and server.pid is not None:
                pids[name] = server.pid
        return {name: usage.cpu_seconds(pid) for name, pid in pids.items()} | {"driver": usage.cpu_of_this_process()}

    def rss(self, name: str) -> float:
        """Return the resident memory of a process, in megabytes."""
        return usage.resident_mb(self.children[name].pid)


@asynccontextmanager
async def system(folder: Path, plan: Plan) -> AsyncIterator[System]:
    """Run servers and simulators, with tables and tenants. Recado's own processes are defined and not started.

    Everything ends with the block. Raises RecadoError when something does not start.
    """
    async with AsyncExitStack() as stack:
        environment = {k: v for k, v in os.environ.items() if k not in _hidden()} | dict(plan.settings or {})
        given = DatabaseUrls.given(environment)
        servers = stack.enter_context(run_servers(folder, databases=given, redis_url=environment.get("REDIS_URL")))
        made = System(folder, servers, environment, plan.twilio_url)
        applied = list(servers.databases.migrate())
        await _publish(made, plan.tenant_edits or {})
        stack.callback(made.stop)
        made.add_model([SCRIPT], "--no-log")
        if plan.twilio_url is None:
            made.add_twilio([made.number, made.folding_number])
        made.add_recado(workers=plan.workers)
        made.start("model", *([] if plan.twilio_url else ["twilio"]))
        (folder / "logs" / "migrations.log").write_text("\n".join(migration.name for migration in applied))
        yield made


def _hidden() -> set[str]:
    # A real provider must not be called, and without byte code every start would compile the packages again.
    return {"PYTHONDONTWRITEBYTECODE", *(provider.key_variable for provider in PROVIDERS.values())}


async def _publish(made: System, edits: Mapping[str, str]) -> None:
    files = dict(load_folder(TENANT).files)
    for old, new in edits.items():
        assert old in files[MAIN], f"the tenant's file does not have {old!r}"
        files[MAIN] = files[MAIN].replace(old, new)
    folding = files | {MAIN: files[MAIN].replace(DEBOUNCE, FOLDING)}
    async with Database(made.servers.databases.system, role=Role.SYSTEM, size=1) as database:
        for slug, number, content in (("bench", made.number, files), ("fold", made.folding_number, folding)):
            setup = TenantSetup(slug, load(content), number)
            await set_up_tenant(database, made.environment["RECADO_SECRET_KEY"], setup, utc_now)


def _free_address() -> str:
    return f"http://127.0.0.1:{free_port()}"
