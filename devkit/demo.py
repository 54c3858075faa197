"""Run the whole system on one machine: embedded servers, a simulated Twilio and, without a key, a simulated model."""

import asyncio
import hashlib
import json
import os
import secrets
import signal
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click
import platformdirs
from ruamel.yaml import YAML

from app.clock import utc_now
from app.crypto import new_secret_key
from app.db import Database, Role
from app.errors import RecadoError
from devkit import stack
from devkit.bytecode import compile_once
from devkit.database_urls import OWNER, DatabaseUrls
from devkit.simulators import ports
from devkit.stack import LOOPBACK, Number, Stack, TenantSetup
from graphs.config import Assistant
from graphs.providers import PROVIDERS, Provider
from manifest.folder import load_folder
from manifest.loader import MAIN, InvalidFiles, LoadedAssistant, load

SHIPPED_TENANTS = Path(__file__).resolve().parents[1] / "tenants"
SHIPPED_SCRIPTS = Path(__file__).resolve().parent / "simulators" / "scripts"

SMOKE_TEXT = "Olá! Quanto custa uma limpeza?"
SMOKE_TIMEOUT = 60.0
"""Seconds that the reply to the smoke message may take."""

SIMULATED_PROVIDERS = ("openai", "groq")
"""The providers that the simulated model stands for: all that the demo's tenants name."""

PORTS = {"api": 8000, "twilio": 4010, "model": 4020, **ports.PORTS}
"""The preferred port of each part. A part whose port is taken gets a free one."""

MAX_OWN_TENANTS = 10


def default_folder() -> Path:
    """Return the folder of the demo's data in the user's home."""
    return Path(platformdirs.user_data_dir("recado", appauthor=False)) / "demo"


@dataclass(frozen=True)
class DemoTenant:
    """A tenant of the demo.

    `suggestions` are messages that the phone page offers. `tool_server` is the simulated server that its tools call,
    and `credential` the name of the secret with its token. `folder` is set for a tenant of the user.
    """

    slug: str
    account_sid: str
    address: str
    suggestions: tuple[str, ...] = ()
    tool_server: str | None = None
    credential: str = ""
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """The folder of its manifest."""
        return self.folder or SHIPPED_TENANTS / self.slug

    @property
    def script(self) -> Path | None:
        """The script that the simulated model follows, or None."""
        shipped = SHIPPED_SCRIPTS / f"{self.slug}.yaml"
        path = shipped if self.folder is None else self.folder / "scenarios" / "model.yaml"
        return path if path.exists() else None


CLINIC = DemoTenant(
    "clinica-sorriso",
    "AC" + "0" * 31 + "1",
    "whatsapp:+551140001234",
    ("Quero marcar uma consulta", "Quanto custa uma limpeza?", "Quero falar com um atendente"),
)
SHOP = DemoTenant(
    "loja-aurora",
    "AC" + "0" * 31 + "2",
    "whatsapp:+552130005678",
    ("Onde está o pedido 1002?", "Quero devolver o pedido 1001, ficou pequeno", "Vocês têm vestido de linho?"),
    tool_server="shop",
    credential="LOJA_TOKEN",
)
SCHOOL = DemoTenant(
    "escola-horizonte",
    "AC" + "0" * 31 + "3",
    "whatsapp:+554135009012",
    ("Quero matricular minha filha", "Quais turmas têm vaga?", "Do you have places for a six year old?"),
    tool_server="school",
    credential="ESCOLA_TOKEN",
)
TENANTS = (CLINIC, SHOP, SCHOOL)


def own_tenants(folders: Sequence[Path]) -> list[DemoTenant]:
    """Return tenants for the user's own folders, with a number each. Raises RecadoError when one is not valid."""
    if len(folders) > MAX_OWN_TENANTS:
        raise RecadoError(f"the demo has {MAX_OWN_TENANTS} numbers for tenants of your own")
    shipped = {tenant.slug for tenant in TENANTS}
    for folder in folders:
        if folder.resolve().name in shipped:
            raise RecadoError(f"{folder.resolve().name} is in the demo already: give your folder another name")
        try:
            load_folder(folder)
        except InvalidFiles as error:
            raise RecadoError("\n".join(f"{folder}/{problem}" for problem in error.problems)) from None
    return [_own_tenant(folder.resolve()) for folder in folders]


def _own_tenant(folder: Path) -> DemoTenant:
    # Account and number come from the name, so that they stay the same whatever other folders are given.
    digest = hashlib.sha256(folder.name.encode()).hexdigest()
    number = int(digest, 16) % 10**7
    return DemoTenant(folder.name, f"AC{digest[:32]}", f"whatsapp:+55115{number:07}", folder=folder)


@dataclass(frozen=True)
class RunningDemo:
    """A running demo. `provider` is the real model's provider; None when the model is simulated."""

    stack: Stack
    provider: str | None
    assistants: Mapping[str, Assistant]


@contextmanager
def run(data: Path, tenants: Sequence[DemoTenant], say: Callable[[str], None]) -> Iterator[RunningDemo]:
    """Run the demo during the block, with its data in a folder. Raises RecadoError when a part does not start."""
    with ExitStack() as exit_stack:
        compile_once(say)
        started = time.monotonic()
        system = exit_stack.enter_context(_start_servers(data, say))
        if applied := list(system.servers.databases.migrate()):
            say(f"applied {len(applied)} migrations, to {applied[-1].name}")
        provider = next((name for name, row in PROVIDERS.items() if os.environ.get(row.key_variable)), None)
        if provider is None:
            system.environment |= stack.simulated_environment(system.addresses["model"], SIMULATED_PROVIDERS)
        tokens = {name: _kept(data / f"{name}-token", _new_token) for name in ("twilio", *ports.PORTS)}
        setups = [_setup(tenant, system, tokens) for tenant in tenants]
        if provider is None:
            system.add_model([tenant.script for tenant in tenants if tenant.script])
        for name in ports.PORTS:
            system.add_tool_server(name, tokens[name])
        system.add_twilio([setup.number for setup in setups])
        system.add_recado()
        asyncio.run(_publish(system, setups))
        exit_stack.callback(system.stop)
        system.start()
        say(f"everything is up after {time.monotonic() - started:.1f} s")
        yield RunningDemo(system, provider, {setup.slug: setup.manifest.assistant for setup in setups})
        say("ending")


@contextmanager
def _start_servers(data: Path, say: Callable[[str], None]) -> Iterator[Stack]:
    given = DatabaseUrls.given(os.environ), os.environ.get("REDIS_URL")
    say(f"using {OWNER} and REDIS_URL" if all(given) else f"starting Postgres and Valkey in {data}")
    with stack.run_servers(data, databases=given[0], redis_url=given[1] or None) as servers:
        environment = {
            **os.environ,
            "RECADO_SECRET_KEY": _kept(data / "secret-key", new_secret_key),
            "RECADO_ALLOWED_NETWORKS": LOOPBACK,
        }
        yield Stack(data, servers, environment, {name: _address(name) for name in PORTS})


def _address(name: str) -> str:
    """Return the URL of a part, with its preferred port if that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORTS[name]))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _kept(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in a file of the demo's data. The first call makes the secret."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(make())
    return path.read_text()


def _new_token() -> str:
    return secrets.token_hex(16)


def _setup(tenant: DemoTenant, system: Stack, tokens: Mapping[str, str]) -> TenantSetup:
    manifest = adapt(tenant, system.environment, system.addresses)
    name = manifest.assistant.name
    number = Number(tenant.account_sid, tokens["twilio"], tenant.address, name, tenant.suggestions)
    token = {tenant.credential: tokens[tenant.tool_server]} if tenant.tool_server else {}
    return TenantSetup(tenant.slug, manifest, number, token)


async def _publish(system: Stack, setups: Sequence[TenantSetup]) -> None:
    async with Database(system.servers.databases.system, role=Role.SYSTEM, size=1) as database:
        for setup in setups:
            await stack.set_up_tenant(database, system.environment["RECADO_SECRET_KEY"], setup, utc_now)


def adapt(tenant: DemoTenant, environment: Mapping[str, str], addresses: Mapping[str, str]) -> LoadedAssistant:
    """Load a tenant's manifest, changed for this machine.

    Models of providers without a key are replaced, and tool servers get their present addresses.
    """
    usable = [provider for provider in PROVIDERS.values() if environment.get(provider.key_variable)]
    names = {provider.name for provider in usable}

    files = dict(load_folder(tenant.path).files)
    for name, text in files.items():
        if name.endswith(".yaml"):
            for part, port in PORTS.items():
                text = text.replace(f"http://127.0.0.1:{port}", addresses[part])
            files[name] = text
    files[MAIN] = _with_usable_models(files[MAIN], names, usable[0])
    return load(files)


def _with_usable_models(text: str, names: Container[str], instead: Provider) -> str:
    """Replace the models of providers whose names are not given."""
    yaml = YAML()
    document = yaml.load(text)
    for node in _mappings(document):
        if {"provider", "model"} <= node.keys() and node["provider"] not in names:
            node["provider"], node["model"] = instead.name, instead.demo_model
    changed = StringIO()
    yaml.dump(document, changed)
    return changed.getvalue()


def _mappings(node: Any) -> Iterator[Any]:
    """Yield all mappings of a YAML document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _mappings(child)


def _call(url: str, body: Any = None, timeout: float = 30.0) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def smoke(demo: RunningDemo, say: Callable[[str], None]) -> None:
    """Send one message through the whole system and print the reply. Raises RecadoError when none arrives."""
    twilio, logs = demo.stack.addresses["twilio"], demo.stack.logs
    contact = f"whatsapp:+55119{secrets.randbelow(10**8):08d}"
    sent = time.time()
    received = _call(f"{twilio}/control/inbound", {"from": contact, "to": CLINIC.address, "body": SMOKE_TEXT})
    if received["status"] != 200:
        raise RecadoError(f"the webhook answered {received['status']}: see {logs / 'api.log'}")
    say(f"contact:   {SMOKE_TEXT}   (acknowledged in {received['elapsed_ms']:.0f} ms)")
    query = urllib.parse.urlencode({"contact": contact, "after": received["index"], "timeout": SMOKE_TIMEOUT})
    answer = _call(f"{twilio}/control/wait?{query}", timeout=SMOKE_TIMEOUT + 5)
    if not answer["messages"]:
        raise RecadoError(f"no reply within {SMOKE_TIMEOUT:.0f} s: see {logs / 'worker.log'}")
    reply, assistant = answer["messages"][0], demo.assistants[CLINIC.slug]
    took, debounce = reply["accepted_at"] - sent, assistant.lifecycle.debounce
    say(f"assistant: {reply['body']}   (after {took:.2f} s, of which {debounce:.2f} s were waiting for more)")
    if reply["body"] == assistant.apology:
        raise RecadoError(f"the model gave no usable answer, so the contact got the apology: see {logs / 'worker.log'}")


def stay(demo: RunningDemo) -> None:
    """Print the addresses and wait for Ctrl-C. Raises RecadoError when a part of the system dies."""
    system = demo.stack
    names = ", ".join(assistant.name for assistant in demo.assistants.values())
    model = _model(demo.provider) if demo.provider else f"simulated, at {system.addresses['model']}"
    click.echo(f"""
  {click.style("Phone", bold=True)}     {system.addresses["twilio"]}/phone   (write from here to {names})
  Webhook   {system.addresses["api"]}{stack.WEBHOOK_PATH}
  Model     {model}
  Logs      {system.logs}

  Operators: `recado interrupts list`, and `recado interrupts resolve ID` (in a clone: `uv run recado …`), with
    export DATABASE_URL={_shown("DATABASE_URL", system.environment)}
    export SYSTEM_DATABASE_URL={_shown("SYSTEM_DATABASE_URL", system.environment)}
    export REDIS_URL={_shown("REDIS_URL", system.environment)}

Ctrl-C ends it.""")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        dead = [child for child in system.children.values() if not child.alive]
        if dead:
            raise RecadoError(f"{dead[0].name} has ended: see {system.logs / dead[0].name}.log")


def _model(provider: str) -> str:
    url = os.environ.get(PROVIDERS[provider].url_variable)
    return f"{provider}, at {url}" if url else f"{provider}, the real one"


def _shown(name: str, environment: Mapping[str, str]) -> str:
    # The passwords of embedded servers may be shown. A URL that the user has set may not.
    return "…  (as you have set it)" if name in os.environ else f"'{environment[name]}'"
