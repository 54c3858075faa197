"""The system under test: servers, simulators and Recado's own processes, each of them restartable."""

import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import migrations
from app.assistants import service as assistants
from app.channels.base import Credentials
from app.clock import utc_now
from app.crypto import SecretBox, new_secret_key
from app.db import Database, Role
from app.identity import service as identity
from app.supervisor import Child
from bench import usage
from bench.traffic import WEBHOOK, Number
from devkit import embedded
from devkit.embedded.process import free_port
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import MAIN, load

HERE = Path(__file__).parent
TENANT = HERE / "tenants" / "bench"
SCRIPT = HERE / "scripts" / "bench.yaml"
ACCOUNT_SID = "AC" + "b" * 32

DEBOUNCE = "debounce: 0ms"
"""What the tenant's file says; the folding tenant has another value in its place."""
FOLDING = "debounce: 300ms"


@dataclass(frozen=True)
class Plan:
    """What the system is made of. Without `twilio_url` the simulated Twilio is a part of it.

    `tenant_edits` are replacements of text in the tenants' YAML.
    """

    workers: int = 1
    twilio_url: str | None = None
    settings: Mapping[str, str] | None = None
    tenant_edits: Mapping[str, str] | None = None


class System:
    """Where everything is, and its processes by name: `api`, `worker-1` …, `scheduler`, `model`, `twilio`."""

    def __init__(self, folder: Path, environment: dict[str, str], twilio_url: str | None) -> None:
        token = secrets.token_hex(16)
        self.folder = folder
        self.api_url, self.model_url = _free_address(), _free_address()
        self.twilio_url = twilio_url or _free_address()
        self.number = Number(ACCOUNT_SID, token, "whatsapp:+551140000001")
        self.folding_number = Number(ACCOUNT_SID, token, "whatsapp:+551140000002")
        self.parts: dict[str, Child] = {}
        self.postgres: embedded.Postgres | None = None
        self.valkey: embedded.Valkey | None = None
        self.environment = environment | {
            "OPENAI_API_KEY": "simulated",
            "OPENAI_BASE_URL": f"{self.model_url}/v1",
            "RECADO_PUBLIC_URL": self.api_url,
            "RECADO_TWILIO_API_URL": self.twilio_url,
            "RECADO_SECRET_KEY": new_secret_key(),
            "RECADO_LOG_FORMAT": "json",
        }

    @property
    def database_url(self) -> str:
        """Where Postgres is."""
        return self.environment["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """Where Redis, or Valkey, is."""
        return self.environment["REDIS_URL"]

    def add(self, name: str, *command: str) -> Child:
        """Names a process, or gives that name another command; it is not started yet."""
        log = self.folder / "logs" / f"{name}.log"
        child = self.parts[name] = Child(name, [sys.executable, "-m", *command], self.environment, log)
        return child

    def start(self, *names: str) -> None:
        """Starts parts and waits until each says that it is ready. Raises RecadoError."""
        for name in names:
            self.parts[name].start()
        for name in names:
            self.parts[name].wait_until_ready()

    def stop(self, *names: str) -> None:
        """Ends parts in good order, all at once."""
        for name in names:
            usage.terminate(self.parts[name])
        for name in names:
            self.parts[name].stop()

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each running part has used so far, this driver included."""
        pids = {name: child.pid for name, child in self.parts.items() if child.alive}
        for name, server in (("postgres", self.postgres), ("valkey", self.valkey)):
            if server is not None and server.pid is not None:
                pids[name] = server.pid
        return {name: usage.cpu_seconds(pid) for name, pid in pids.items()} | {"driver": usage.cpu_of_this_process()}

    def rss(self, name: str) -> float:
        """Resident megabytes of a part."""
        return usage.resident_mb(self.parts[name].pid)


@asynccontextmanager
async def system(folder: Path, plan: Plan) -> AsyncIterator[System]:
    """Servers, tables, tenants and simulators, all up; Recado's own processes defined and not started.

    Everything ends with the block. Raises RecadoError or EmbeddedError when something does not start.
    """
    async with AsyncExitStack() as stack:
        environment = {k: v for k, v in os.environ.items() if k not in _hidden()}
        made = System(folder, environment | dict(plan.settings or {}), plan.twilio_url)
        _start_servers(stack, made)
        migrations_done = list(migrations.apply(made.database_url))
        await _publish(made, plan.tenant_edits or {})
        stack.callback(lambda: made.stop(*made.parts))
        _define(made, plan)
        made.start("model", *([] if plan.twilio_url else ["twilio"]))
        (folder / "logs" / "migrations.log").write_text("\n".join(m.name for m in migrations_done))
        yield made


def _hidden() -> set[str]:
    # Keys of real providers must not lead anywhere, and without byte code every start would compile again.
    return {"PYTHONDONTWRITEBYTECODE", *(provider.key_variable for provider in PROVIDERS.values())}


def _start_servers(stack: AsyncExitStack, made: System) -> None:
    if "DATABASE_URL" not in made.environment:
        made.postgres = embedded.Postgres(made.folder, durable=True, max_connections=200)
        stack.callback(made.postgres.stop)
        made.postgres.start()
        made.environment["DATABASE_URL"] = made.postgres.url
    if "REDIS_URL" not in made.environment:
        made.valkey = embedded.Valkey(made.folder, durable=True)
        stack.callback(made.valkey.stop)
        made.valkey.start()
        made.environment["REDIS_URL"] = made.valkey.url


def _define(made: System, plan: Plan) -> None:
    made.add("model", "devkit.simulators.llm", *listen(made.model_url), "--script", str(SCRIPT), "--no-log")
    if plan.twilio_url is None:
        numbers = [part for n in (made.number, made.folding_number) for part in ("--number", _number(made, n))]
        made.add("twilio", "devkit.simulators.twilio", *listen(made.twilio_url), *numbers)
    made.add("api", "cli", "api", *listen(made.api_url))
    for position in range(1, plan.workers + 1):
        made.add(f"worker-{position}", "cli", "worker")
    made.add("scheduler", "cli", "scheduler")


async def _publish(made: System, edits: Mapping[str, str]) -> None:
    files = dict(load_folder(TENANT).files)
    for old, new in edits.items():
        assert old in files[MAIN], f"the tenant's file does not say {old!r}"
        files[MAIN] = files[MAIN].replace(old, new)
    folding = files | {MAIN: files[MAIN].replace(DEBOUNCE, FOLDING)}
    async with Database(made.database_url, role=Role.SYSTEM, size=1) as database:
        box = SecretBox(made.environment["RECADO_SECRET_KEY"])
        for slug, number, content in (("bench", made.number, files), ("fold", made.folding_number, folding)):
            await assistants.publish(database, slug, load(content), utc_now)
            credentials = Credentials(number.account_sid, number.auth_token)
            await identity.add_channel(database, box, slug, credentials, number.address)


def _number(made: System, number: Number) -> str:
    return json.dumps(
        {
            "account_sid": number.account_sid,
            "auth_token": number.auth_token,
            "address": number.address,
            "webhook_url": made.api_url + WEBHOOK,
        }
    )


def _free_address() -> str:
    return f"http://127.0.0.1:{free_port()}"


def listen(address: str) -> tuple[str, ...]:
    """The options that make a process listen there."""
    return ("--host", "127.0.0.1", "--port", address.rpartition(":")[2])
