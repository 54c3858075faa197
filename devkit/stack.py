"""Assemble a whole Recado on one machine, for the demo, scenarios, benchmarks and tests.

The parts are the servers (Postgres and Valkey), the simulators, the published tenants, and Recado itself: as child
processes (`Stack`), or in this process with a clock and a milestone hook (`serve_api`, and `app.worker.engine`).
"""

import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import asgi
from app.assistants import service as assistants
from app.channels.base import Credentials
from app.clock import Clock
from app.config import ModelProvider, Settings
from app.crypto import SecretBox
from app.db import Database
from app.errors import RecadoError
from app.identity import secrets as tenant_secrets
from app.identity import service as identity
from app.supervisor import Child
from devkit.database_urls import OWNER, DatabaseUrls
from devkit.embedded.postgres import Postgres
from devkit.embedded.server_files import EmbeddedError
from devkit.embedded.valkey import Valkey
from devkit.serving import AsgiServer
from graphs.providers import PROVIDERS
from manifest.loader import LoadedAssistant

WEBHOOK_PATH = "/api/v1/twilio/webhook"
LOOPBACK = "127.0.0.0/8"
"""The network of the simulated servers that tenants' tools call."""


@dataclass(frozen=True)
class Servers:
    """The URLs of Postgres and Redis. `postgres` and `valkey` are None where the server is not embedded."""

    databases: DatabaseUrls
    redis_url: str
    postgres: Postgres | None = None
    valkey: Valkey | None = None


@contextmanager
def run_servers(
    folder: Path, *, databases: DatabaseUrls | None = None, redis_url: str | None = None, durable: bool = True
) -> Iterator[Servers]:
    """Run the servers whose URLs are not given, with their data in `folder`. Raises RecadoError."""
    with ExitStack() as stack:
        postgres = Postgres(folder, durable=durable) if databases is None else None
        valkey = Valkey(folder, durable=durable) if redis_url is None else None
        try:
            for server in (postgres, valkey):
                if server is not None:
                    stack.callback(server.stop)
                    server.start()
        except EmbeddedError as error:
            raise RecadoError(str(error)) from None
        used = databases or DatabaseUrls.of_owner(postgres.url if postgres else "")
        yield Servers(used, valkey.url if valkey else str(redis_url), postgres, valkey)


@dataclass(frozen=True)
class Number:
    """A WhatsApp number at the simulated Twilio. `suggestions` are shown on the phone page."""

    account_sid: str
    auth_token: str = field(repr=False)
    address: str
    name: str = ""
    suggestions: Sequence[str] = ()

    def as_simulated(self, api_url: str) -> dict[str, Any]:
        """Return the number as the simulated Twilio takes it, with Recado's webhook at `api_url`."""
        return {
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "address": self.address,
            # Twilio's own syntax: retry thrice, on connection failures, timeouts and 5xx.
            "webhook_url": f"{api_url}{WEBHOOK_PATH}#rc=3&rp=ct,rt,5xx&rt=5000",
            "name": self.name,
            "suggestions": list(self.suggestions),
        }


@dataclass(frozen=True)
class TenantSetup:
    """A tenant to publish, with its number and the secrets that its tools name."""

    slug: str
    manifest: LoadedAssistant
    number: Number
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


async def set_up_tenant(system: Database, secret_key: str, setup: TenantSetup, clock: Clock) -> None:
    """Do what `recado secrets set`, `recado tenants publish` and `recado channels add` do."""
    box = SecretBox(secret_key)
    await identity.ensure_tenant(system, setup.slug, setup.manifest.assistant.name)
    for name, value in setup.secrets.items():
        await tenant_secrets.keep(system, box, setup.slug, name, value, clock)
    await assistants.publish(system, setup.slug, setup.manifest, clock)
    credentials = Credentials(setup.number.account_sid, setup.number.auth_token)
    await identity.add_channel(system, box, setup.slug, credentials, setup.number.address)


def simulated_access(model_url: str, key: str = "simulated") -> dict[str, ModelProvider]:
    """Return the settings that make every provider's client call the model simulator."""
    return {name: ModelProvider(key, f"{model_url}{provider.simulator_path()}") for name, provider in PROVIDERS.items()}


def simulated_environment(model_url: str, names: Sequence[str]) -> dict[str, str]:
    """Return the same settings as environment variables, for some providers."""
    variables: dict[str, str] = {}
    for provider in (PROVIDERS[name] for name in names):
        variables[provider.key_variable] = "simulated"
        variables[provider.url_variable] = f"{model_url}{provider.simulator_path()}"
    return variables


class Processes:
    """Child processes by name, with one environment and a log each."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self.environment = dict(environment)
        self.logs = logs
        self.children: dict[str, Child] = {}

    def add(self, name: str, module: str, *arguments: str) -> Child:
        """Define a process that runs a Python module, or replace it. It is not started."""
        command = [sys.executable, "-m", module, *arguments]
        child = self.children[name] = Child(name, command, self.environment, self.logs / f"{name}.log")
        return child

    def start(self, *names: str) -> dict[str, str]:
        """Start processes, all by default, and wait until each is ready. Return the addresses that they print.

        Raises RecadoError when one does not start.
        """
        names = names or tuple(self.children)
        for name in names:
            self.children[name].start()
        lines = {name: self.children[name].wait_until_ready() for name in names}
        return {name: line.split(" ready on ")[1].split()[0] for name, line in lines.items() if " ready on " in line}

    def stop(self, *names: str) -> dict[str, int | None]:
        """End processes, all by default, at the same time. Return their exit codes."""
        names = names or tuple(self.children)
        for name in names:
            self.children[name].send(signal.SIGTERM)
        return {name: self.children[name].wait() for name in names}


class Stack(Processes):
    """Recado's processes and its simulators, each of which can be restarted.

    `addresses` has the URL of every part that listens: `api`, `twilio`, `model`, and the tool servers by name.
    """

    def __init__(
        self, folder: Path, servers: Servers, environment: Mapping[str, str], addresses: Mapping[str, str]
    ) -> None:
        urls = {**servers.databases.processes, "REDIS_URL": servers.redis_url}
        places = {"RECADO_PUBLIC_URL": addresses["api"], "RECADO_TWILIO_API_URL": addresses["twilio"]}
        given = {name: value for name, value in environment.items() if name != OWNER}
        super().__init__({**given, **urls, **places}, folder / "logs")
        self.folder = folder
        self.servers = servers
        self.addresses = dict(addresses)

    def add_model(self, scripts: Sequence[Path], *options: str) -> None:
        """Define the simulated model."""
        paths = [argument for script in scripts for argument in ("--script", str(script))]
        self.add("model", "devkit.simulators.llm", *listen_options(self.addresses["model"]), *paths, *options)

    def add_twilio(self, numbers: Sequence[Number]) -> None:
        """Define the simulated Twilio with its phone page."""
        written = [f"--number={json.dumps(number.as_simulated(self.addresses['api']))}" for number in numbers]
        self.add("twilio", "devkit.simulators.twilio", *listen_options(self.addresses["twilio"]), *written)

    def add_tool_server(self, name: str, token: str) -> None:
        """Define a simulated server that a tenant's tools call."""
        self.add(name, f"devkit.simulators.{name}", *listen_options(self.addresses[name]), "--token", token)

    def add_recado(self, *, workers: int = 1) -> None:
        """Define API, workers and scheduler. With several workers their names are numbered from 1."""
        self.add("api", "cli", "api", *listen_options(self.addresses["api"]))
        for name in ["worker"] if workers == 1 else [f"worker-{number}" for number in range(1, workers + 1)]:
            self.add(name, "cli", "worker")
        self.add("scheduler", "cli", "scheduler")


def listen_options(address: str) -> tuple[str, ...]:
    """Return the options that make a process listen at an address."""
    return ("--host", "127.0.0.1", "--port", address.rpartition(":")[2])


@asynccontextmanager
async def serve_api(settings: Settings, clock: Clock, listener: socket.socket) -> AsyncIterator[Any]:
    """Serve the API in this process, on a socket that listens already. Yield the application."""
    application = asgi.create_app(settings, clock=clock)
    server = AsgiServer(application, listener)
    await server.start()
    try:
        yield application
    finally:
        await server.stop()
