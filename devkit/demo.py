"""The whole system on one machine: embedded servers, simulated Twilio, and, without a key, a simulated model."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import click

import migrations
from app.assistants import service as assistants
from app.channels.base import Credentials
from app.clock import utc_now
from app.crypto import SecretBox, new_secret_key
from app.db import Database, Role
from app.errors import RecadoError
from app.identity import secrets as tenant_secrets
from app.identity import service as identity
from app.supervisor import Child
from devkit import embedded
from devkit.simulators import ports
from graphs.config import Assistant
from graphs.providers import PROVIDERS
from manifest.folder import load_folder
from manifest.loader import InvalidAssistant, Loaded, load

SMOKE_CONTACT = "whatsapp:+5511990000001"
SMOKE_TEXT = "Olá! Quanto custa uma limpeza?"
SMOKE_WITHIN = 60.0
SIMULATED_PROVIDERS = ("openai", "groq")
"""The providers that the simulated model stands for: enough for every tenant of the demo, with a fallback each."""

PORTS = {"api": 8000, "twilio": 4010, "model": 4020, **ports.PORTS}
"""Where the parts usually are."""

TOOLS_REACH = "127.0.0.0/8"
"""All that the demo's tenants need beyond the internet: the shop and the school."""

MOST_GUESTS = 10

CHOICE = re.compile(r"provider: (\w+), model: [\w./-]+")


@dataclass(frozen=True)
class Tenant:
    """A tenant of the demo: its folder, its number, and what one may write to it.

    `part`: where its tools work, if they work anywhere; `known_as`: the secret that they find its token in. `folder`
    is given for a tenant that is not ours.
    """

    slug: str
    account_sid: str
    address: str
    suggestions: tuple[str, ...]
    part: str | None = None
    known_as: str = ""
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder or Path(str(resources.files("tenants") / self.slug))

    @property
    def script(self) -> Path | None:
        """What the simulated model says for it."""
        ours = Path(str(resources.files("devkit.simulators"))) / "scripts" / f"{self.slug}.yaml"
        path = ours if self.folder is None else self.folder / "scenarios" / "model.yaml"
        return path if path.exists() else None


CLINIC = Tenant(
    "clinica-sorriso",
    "AC" + "0" * 31 + "1",
    "whatsapp:+551140001234",
    ("Quero marcar uma consulta", "Quanto custa uma limpeza?", "Quero falar com um atendente"),
)
SHOP = Tenant(
    "loja-aurora",
    "AC" + "0" * 31 + "2",
    "whatsapp:+552130005678",
    ("Onde está o pedido 1002?", "Quero devolver o pedido 1001, ficou pequeno", "Vocês têm vestido de linho?"),
    part="shop",
    known_as="LOJA_TOKEN",
)
SCHOOL = Tenant(
    "escola-horizonte",
    "AC" + "0" * 31 + "3",
    "whatsapp:+554135009012",
    ("Quero matricular minha filha", "Quais turmas têm vaga?", "Do you have places for a six year old?"),
    part="school",
    known_as="ESCOLA_TOKEN",
)
TENANTS = (CLINIC, SHOP, SCHOOL)


def guests(folders: Sequence[Path]) -> list[Tenant]:
    """Tenants of the caller's own, each with a number. Raises RecadoError when one is not valid."""
    if len(folders) > MOST_GUESTS:
        raise RecadoError(f"the demo has {MOST_GUESTS} numbers for tenants of your own")
    for folder in folders:
        try:
            load_folder(folder)
        except InvalidAssistant as error:
            raise RecadoError("\n".join(f"{folder}/{problem}" for problem in error.problems)) from None
    return [
        Tenant(
            folder.resolve().name,
            "AC" + "1" * 30 + f"{number:02}",
            f"whatsapp:+55114000900{number}",
            (),
            folder=folder.resolve(),
        )
        for number, folder in enumerate(folders)
    ]


@dataclass(frozen=True)
class Running:
    """Where everything is, and the tenants' assistants by slug."""

    api: str
    twilio: str
    model: str | None
    provider: str
    assistants: Mapping[str, Assistant]
    environment: Mapping[str, str] = field(repr=False)
    logs: Path
    children: Sequence[Child]


@contextmanager
def system(data: Path, tenants: Sequence[Tenant], say: Callable[[str], None]) -> Iterator[Running]:
    """The running system; ends with the block. Raises RecadoError when a part does not start."""
    with ExitStack() as stack:
        started = time.monotonic()
        environment = _servers(stack, data, say)
        for migration in migrations.apply(environment["DATABASE_URL"]):
            say(f"applied {migration.name}")
        provider = next((name for name, row in PROVIDERS.items() if environment.get(row.key_variable)), None)
        addresses = {name: _address(name) for name in PORTS}
        api, twilio, model = addresses["api"], addresses["twilio"], None if provider else addresses["model"]
        tokens = {name: _kept(data / f"{name}-token", _new_token) for name in ("twilio", "shop", "school")}
        environment |= {
            "RECADO_PUBLIC_URL": api,
            "RECADO_TWILIO_API_URL": twilio,
            "RECADO_SECRET_KEY": _kept(data / "secret-key", new_secret_key),
            "RECADO_ALLOWED_NETWORKS": TOOLS_REACH,
        }
        if model is not None:
            environment |= _simulated(model)
        logs = data / "logs"
        children: list[Child] = []

        def start(name: str, *command: str) -> None:
            child = Child(name, [sys.executable, "-m", *command], environment, logs / f"{name}.log")
            child.start()
            children.append(child)
            stack.callback(child.stop)

        if model is not None:
            start("model", "devkit.simulators.llm", *_listen(model), *_scripts(tenants))
        for name in ("shop", "school"):
            start(name, f"devkit.simulators.{name}", *_listen(addresses[name]), "--token", tokens[name])
        published = asyncio.run(_publish(environment, tenants, addresses, tokens))
        numbers = [_number(tenant, published[tenant.slug].name, api, tokens["twilio"]) for tenant in tenants]
        start("twilio", "devkit.simulators.twilio", *_listen(twilio), *numbers)
        start("api", "cli", "api", *_listen(api))
        start("worker", "cli", "worker")
        start("scheduler", "cli", "scheduler")
        for child in children:
            child.wait_until_ready()
        say(f"everything is up after {time.monotonic() - started:.1f} s")
        yield Running(api, twilio, model, provider or "openai", published, environment, logs, children)
        say("ending")


def _servers(stack: ExitStack, data: Path, say: Callable[[str], None]) -> dict[str, str]:
    environment = dict(os.environ)
    given = environment.get("DATABASE_URL"), environment.get("REDIS_URL")
    if all(given):
        say("using DATABASE_URL and REDIS_URL")
    else:
        say(f"starting Postgres and Valkey in {data}")
        try:
            if not given[0]:
                postgres = embedded.Postgres(data)
                stack.callback(postgres.stop)
                postgres.start()
                environment["DATABASE_URL"] = postgres.url
            if not given[1]:
                valkey = embedded.Valkey(data)
                stack.callback(valkey.stop)
                valkey.start()
                environment["REDIS_URL"] = valkey.url
        except embedded.EmbeddedError as error:
            raise RecadoError(str(error)) from None
    return environment


def _address(name: str) -> str:
    """The part's usual address, or a free one when something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORTS[name]))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _listen(address: str) -> tuple[str, ...]:
    return ("--host", "127.0.0.1", "--port", address.rpartition(":")[2])


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A secret of this demo, made once and kept in its folder."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(make())
    return path.read_text()


def _new_token() -> str:
    return secrets.token_hex(16)


def _simulated(model: str) -> dict[str, str]:
    """Return the settings that make workers call the simulated model."""
    providers = [PROVIDERS[name] for name in SIMULATED_PROVIDERS]
    keys = {provider.key_variable: "simulated" for provider in providers}
    return keys | {provider.url_variable: f"{model}{provider.simulator_path()}" for provider in providers}


def _scripts(tenants: Sequence[Tenant]) -> list[str]:
    return [argument for tenant in tenants if tenant.script for argument in ("--script", str(tenant.script))]


def _number(tenant: Tenant, name: str, api: str, token: str) -> str:
    number = {
        "account_sid": tenant.account_sid,
        "auth_token": token,
        "address": tenant.address,
        "webhook_url": f"{api}/api/v1/twilio/webhook#rc=3&rp=ct,rt,5xx&rt=5000",
        "name": name,
        "suggestions": tenant.suggestions,
    }
    return f"--number={json.dumps(number)}"


async def _publish(
    environment: Mapping[str, str], tenants: Sequence[Tenant], addresses: Mapping[str, str], tokens: Mapping[str, str]
) -> dict[str, Assistant]:
    """What `recado secrets set`, `tenants publish` and `channels add` would do, for every tenant."""
    box = SecretBox(environment["RECADO_SECRET_KEY"])
    found: dict[str, Assistant] = {}
    async with Database(environment["DATABASE_URL"], role=Role.SYSTEM, size=1) as system:
        for tenant in tenants:
            loaded = fitted(tenant, environment, addresses)
            await identity.ensure_tenant(system, tenant.slug, loaded.assistant.name)
            if tenant.part is not None:
                await tenant_secrets.keep(system, box, tenant.slug, tenant.known_as, tokens[tenant.part], utc_now)
            await assistants.publish(system, tenant.slug, loaded, utc_now)
            credentials = Credentials(tenant.account_sid, tokens["twilio"])
            await identity.add_channel(system, box, tenant.slug, credentials, tenant.address)
            found[tenant.slug] = loaded.assistant
    return found


def fitted(tenant: Tenant, environment: Mapping[str, str], addresses: Mapping[str, str]) -> Loaded:
    """The tenant's assistant, with the providers that there are keys for, and the parts where they really listen."""
    usable = [provider for provider in PROVIDERS.values() if environment.get(provider.key_variable)]
    names = {provider.name for provider in usable}

    def reachable(choice: re.Match[str]) -> str:
        return choice[0] if choice[1] in names else f"provider: {usable[0].name}, model: {usable[0].demo_model}"

    files = dict(load_folder(tenant.path).files)
    for name, text in files.items():
        if name.endswith(".yaml"):
            for part, port in PORTS.items():
                text = text.replace(f"http://127.0.0.1:{port}", addresses[part])
            files[name] = CHOICE.sub(reachable, text)
    return load(files)


def _call(url: str, body: Any = None, timeout: float = 30.0) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def smoke(running: Running, say: Callable[[str], None]) -> None:
    """Sends one message through the real path and says what came back. Raises RecadoError."""
    contact = f"whatsapp:+55119{secrets.randbelow(10**8):08d}"
    sent = time.time()
    received = _call(f"{running.twilio}/control/inbound", {"from": contact, "to": CLINIC.address, "body": SMOKE_TEXT})
    if received["status"] != 200:
        raise RecadoError(f"the webhook answered {received['status']}: see {running.logs / 'api.log'}")
    say(f"contact:   {SMOKE_TEXT}   (acknowledged in {received['elapsed_ms']:.0f} ms)")
    query = urllib.parse.urlencode({"contact": contact, "after": received["index"], "timeout": SMOKE_WITHIN})
    answer = _call(f"{running.twilio}/control/wait?{query}", timeout=SMOKE_WITHIN + 5)
    if not answer["messages"]:
        raise RecadoError(f"no reply within {SMOKE_WITHIN:.0f} s: see {running.logs / 'worker.log'}")
    reply, assistant = answer["messages"][0], running.assistants[CLINIC.slug]
    took, debounce = reply["accepted_at"] - sent, assistant.lifecycle.debounce
    say(f"assistant: {reply['body']}   (after {took:.2f} s, of which {debounce:.2f} s were waiting for more)")
    if reply["body"] == assistant.apology:
        log = running.logs / "worker.log"
        raise RecadoError(f"the model server did not answer, so the contact got the apology: see {log}")


def stay(running: Running) -> None:
    """Shows the addresses and waits for Ctrl-C. Raises RecadoError when a part of the system dies."""
    names = ", ".join(assistant.name for assistant in running.assistants.values())
    model = f"simulated, at {running.model}" if running.model else f"{running.provider}, the real one"
    click.echo(f"""
  {click.style("Phone", bold=True)}     {running.twilio}/phone   (write from here to {names})
  Webhook   {running.api}/api/v1/twilio/webhook
  Model     {model}
  Logs      {running.logs}

  Operators: `recado interrupts list`, with
    export DATABASE_URL={_shown("DATABASE_URL", running.environment)}
    export REDIS_URL={_shown("REDIS_URL", running.environment)}

Ctrl-C ends it.""")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        dead = [child for child in running.children if not child.alive]
        if dead:
            raise RecadoError(f"{dead[0].name} has ended: see {running.logs / dead[0].name}.log")


def _shown(name: str, environment: Mapping[str, str]) -> str:
    # The demo's own passwords guard a demo; one that was given to us is not ours to show.
    return "…  (as you have set it)" if name in os.environ else f"'{environment[name]}'"
