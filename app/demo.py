"""The whole system on one machine: embedded servers, simulated Twilio, and, without a key, a simulated model."""

import asyncio
import json
import os
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
import platformdirs

import migrations
from app import embedded
from app.assistants import service as assistants
from app.channels.base import Credentials
from app.clock import utc_now
from app.config import PROVIDERS
from app.db import Database, Role
from app.errors import RecadoError
from app.identity import service as identity
from app.identity.tokens import SecretBox, new_secret_key
from app.processes import Child
from graphs.config import Assistant
from tenants.loader import MAIN, load, load_folder

TENANT = "clinica-sorriso"
ACCOUNT_SID = "AC" + "0" * 31 + "1"
ADDRESS = "whatsapp:+551140001234"
SMOKE_CONTACT = "whatsapp:+5511990000001"
SMOKE_TEXT = "Olá! Quanto custa uma limpeza?"
SMOKE_WITHIN = 60.0
MODELS = {"openai": "gpt-5-mini", "groq": "llama-3.3-70b-versatile", "google": "gemini-2.5-flash"}

PORTS = {"api": 8000, "twilio": 4010, "model": 4020}


@dataclass(frozen=True)
class Running:
    """Where everything is."""

    api: str
    twilio: str
    model: str | None
    provider: str
    assistant: Assistant
    environment: Mapping[str, str] = field(repr=False)
    logs: Path
    children: Sequence[Child]


@contextmanager
def system(data: Path, say: Callable[[str], None]) -> Iterator[Running]:
    """The running system; ends with the block. Raises RecadoError when a part does not start."""
    with ExitStack() as stack:
        started = time.monotonic()
        environment = _servers(stack, data, say)
        for migration in migrations.apply(environment["DATABASE_URL"]):
            say(f"applied {migration.name}")
        provider = next((p for p in PROVIDERS if environment.get(f"{p.upper()}_API_KEY")), None)
        api, twilio = _address("api"), _address("twilio")
        logs = data / "logs"
        children: list[Child] = []

        def start(name: str, *command: str) -> None:
            child = Child(name, [sys.executable, "-m", *command], environment, logs / f"{name}.log")
            child.start()
            children.append(child)
            stack.callback(child.stop)

        model = None
        if provider is None:
            model = _address("model")
            environment |= {"OPENAI_API_KEY": "simulated", "OPENAI_BASE_URL": f"{model}/v1"}
            script = str(resources.files("simulators") / "scripts" / f"{TENANT}.yaml")
            start("model", "simulators.llm", *_listen(model), "--script", script)
        environment |= {
            "RECADO_PUBLIC_URL": api,
            "RECADO_TWILIO_API_URL": twilio,
            "RECADO_SECRET_KEY": _kept(data / "secret-key", new_secret_key),
        }
        token = _kept(data / "twilio-token", lambda: secrets.token_hex(16))
        assistant = asyncio.run(_publish(environment, provider or "openai", token))
        start("twilio", "simulators.twilio", *_listen(twilio), "--number", _number(api, token))
        start("api", "app.cli", "api", *_listen(api))
        start("worker", "app.cli", "worker")
        start("scheduler", "app.cli", "scheduler")
        for child in children:
            child.wait_until_ready()
        say(f"everything is up after {time.monotonic() - started:.1f} s")
        yield Running(api, twilio, model, provider or "openai", assistant, environment, logs, children)
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


def _number(api: str, token: str) -> str:
    return json.dumps(
        {
            "account_sid": ACCOUNT_SID,
            "auth_token": token,
            "address": ADDRESS,
            "webhook_url": f"{api}/api/v1/twilio/webhook#rc=3&rp=ct,rt,5xx&rt=5000",
            "name": "Clínica Sorriso",
            "suggestions": ["Quero marcar uma consulta", "Quanto custa uma limpeza?", "Quero falar com um atendente"],
        }
    )


async def _publish(environment: dict[str, str], provider: str, token: str) -> Assistant:
    """What `recado tenants publish` and `recado channels add` would do, with the provider that there is a key for."""
    folder = Path(str(resources.files("tenants") / TENANT))
    files = dict(load_folder(folder).files)
    usual = f"{{provider: openai, model: {MODELS['openai']},"
    files[MAIN] = files[MAIN].replace(usual, f"{{provider: {provider}, model: {MODELS[provider]},")
    async with Database(environment["DATABASE_URL"], role=Role.SYSTEM, size=1) as system:
        loaded = load(files)
        await assistants.publish(system, TENANT, loaded, utc_now)
        box = SecretBox(environment["RECADO_SECRET_KEY"])
        await identity.add_channel(system, box, TENANT, Credentials(ACCOUNT_SID, token), ADDRESS)
    return loaded.assistant


def _call(url: str, body: Any = None, timeout: float = 30.0) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def smoke(running: Running, say: Callable[[str], None]) -> None:
    """Sends one message through the real path and says what came back. Raises RecadoError."""
    contact = f"whatsapp:+55119{secrets.randbelow(10**8):08d}"
    sent = time.time()
    received = _call(f"{running.twilio}/control/inbound", {"from": contact, "to": ADDRESS, "body": SMOKE_TEXT})
    if received["status"] != 200:
        raise RecadoError(f"the webhook answered {received['status']}: see {running.logs / 'api.log'}")
    say(f"contact:   {SMOKE_TEXT}   (acknowledged in {received['elapsed_ms']:.0f} ms)")
    query = urllib.parse.urlencode({"contact": contact, "after": received["index"], "timeout": SMOKE_WITHIN})
    answer = _call(f"{running.twilio}/control/wait?{query}", timeout=SMOKE_WITHIN + 5)
    if not answer["messages"]:
        raise RecadoError(f"no reply within {SMOKE_WITHIN:.0f} s: see {running.logs / 'worker.log'}")
    reply = answer["messages"][0]
    took, debounce = reply["accepted_at"] - sent, running.assistant.lifecycle.debounce
    say(f"assistant: {reply['body']}   (after {took:.2f} s, of which {debounce:.2f} s were waiting for more)")
    if reply["body"] == running.assistant.apology:
        log = running.logs / "worker.log"
        raise RecadoError(f"the model server did not answer, so the contact got the apology: see {log}")


def _stay(running: Running) -> None:
    """Shows the addresses and waits for Ctrl-C. Raises RecadoError when a part of the system dies."""
    model = f"simulated, at {running.model}" if running.model else f"{running.provider}, the real one"
    click.echo(f"""
  {click.style("Phone", bold=True)}     {running.twilio}/phone   (write to {running.assistant.name} from here)
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


@click.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where the demo keeps its data.")
@click.option("--smoke", "only_smoke", is_flag=True, help="Send one message, print the reply and its timing, and end.")
def command(data: Path | None, only_smoke: bool) -> None:
    """Show the whole system on this machine: no keys, no account, no Docker.

    With OPENAI_API_KEY, GROQ_API_KEY or GOOGLE_API_KEY set, the real model answers; Twilio stays simulated.
    """
    folder = data or Path(platformdirs.user_data_dir("recado", appauthor=False)) / "demo"
    with system(folder.resolve(), click.echo) as running:
        if only_smoke:
            smoke(running, click.echo)
        else:
            _stay(running)
