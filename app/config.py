"""Settings from the environment, read once. No secret has a default: a missing one stops the start."""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Self
from urllib.parse import urlsplit

from app.errors import ConfigurationError
from graphs.providers import PROVIDERS

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class ModelProvider:
    """The access to a model provider. Without a `base_url` the provider's own address is used."""

    api_key: str = field(repr=False)
    base_url: str | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of a process. Durations are in seconds.

    Tenants' tools reach public addresses, and the private networks in `allowed_networks`. With `tool_programs` they
    may also start programs (MCP servers over stdio): enable it only if you trust everyone who writes tenants' YAML.

    A `direct_database_url` says that the other two lead to a pooler in transaction mode. It is the system's login past
    the pooler, for what needs a session.
    """

    database_url: str = field(repr=False)
    system_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    owner_database_url: str = field(repr=False, default="")
    direct_database_url: str = field(repr=False, default="")
    pooler_prepares: bool = False
    public_url: str = ""
    secret_key: str = field(repr=False, default="")
    twilio_api_url: str = "https://api.twilio.com"
    providers: Mapping[str, ModelProvider] = field(default_factory=dict)
    turns_in_flight: int = 1000
    turn_timeout: float = 120.0
    turn_attempts: int = 5
    lease: float = 300.0
    sweep_interval: float = 0.5
    send_timeout: float = 10.0
    unknown_settle: float = 15.0
    unknown_window: float = 600.0
    allowed_networks: tuple[Network, ...] = ()
    tool_programs: bool = False
    log_format: str = "auto"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, required: tuple[str, ...] = ()) -> Self:
        """Read the environment. `required` are the variables that this process needs.

        Raises ConfigurationError with every missing or malformed variable.
        """
        env = os.environ if environ is None else environ
        problems = [f"{name} is not set: {HELP[name]}" for name in required if not env.get(name)]
        numbers = {field_: _number(env, name, problems) for field_, name in NUMBERS.items()}
        public_url = env.get("RECADO_PUBLIC_URL", "").rstrip("/")
        if public_url and (problem := _public_url_problem(public_url)):
            problems.append(problem)
        networks = _networks(env.get("RECADO_ALLOWED_NETWORKS", ""), problems)
        problems += _order_problems({**{f.name: f.default for f in fields(cls)}, **_given(numbers)})
        if problems:
            raise ConfigurationError("\n".join(problems))
        return cls(
            database_url=env.get("DATABASE_URL", ""),
            system_database_url=env.get("SYSTEM_DATABASE_URL", ""),
            redis_url=env.get("REDIS_URL", ""),
            owner_database_url=env.get("OWNER_DATABASE_URL", ""),
            direct_database_url=env.get("DIRECT_DATABASE_URL", ""),
            pooler_prepares=env.get("RECADO_POOLER_PREPARES", "") == "1",
            public_url=public_url,
            secret_key=env.get("RECADO_SECRET_KEY", ""),
            twilio_api_url=env.get("RECADO_TWILIO_API_URL", cls.twilio_api_url).rstrip("/"),
            providers=_providers(env),
            allowed_networks=networks,
            tool_programs=env.get("RECADO_TOOL_PROGRAMS", "") == "1",
            log_format=env.get("RECADO_LOG_FORMAT", cls.log_format),
            **_given(numbers),
        )

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared by name. A pooler in transaction mode must follow them between sessions."""
        return not self.direct_database_url or self.pooler_prepares

    @property
    def session_url(self) -> str:
        """The database for what needs a session of its own."""
        return self.direct_database_url or self.system_database_url

    @property
    def lock_validity(self) -> float:
        """The time for which a worker may post after Postgres has confirmed its lock.

        Other workers believe it dead when the lock is gone, and post its rows again `unknown_settle` after that. The
        rest of this time is for Twilio to list the message.
        """
        return self.unknown_settle * 0.4


HELP = {
    "DATABASE_URL": "the login for the tenants' work, such as postgresql://recado_app_login:password@host/recado "
    "(or try `recado demo`)",
    "SYSTEM_DATABASE_URL": "the login for sweeps, timers and commands, such as "
    "postgresql://recado_system_login:password@host/recado",
    "OWNER_DATABASE_URL": "the owner of the tables, for `recado migrate` only, such as "
    "postgresql://recado:password@host/recado",
    "REDIS_URL": "the Redis to use, such as redis://host:6379/0 (or try `recado demo`)",
    "RECADO_PUBLIC_URL": "the https address that Twilio calls; its signatures are over it",
    "RECADO_SECRET_KEY": "encrypts the tenants' tokens; make one with `recado check --new-secret-key`",
}

NUMBERS = {
    "turns_in_flight": "RECADO_TURNS_IN_FLIGHT",
    "turn_timeout": "RECADO_TURN_TIMEOUT",
    "turn_attempts": "RECADO_TURN_ATTEMPTS",
    "lease": "RECADO_LEASE",
    "sweep_interval": "RECADO_SWEEP_INTERVAL",
    "send_timeout": "RECADO_SEND_TIMEOUT",
    "unknown_settle": "RECADO_UNKNOWN_SETTLE",
    "unknown_window": "RECADO_UNKNOWN_WINDOW",
}


WHOLE = ("RECADO_TURNS_IN_FLIGHT", "RECADO_TURN_ATTEMPTS")


def _number(env: Mapping[str, str], name: str, problems: list[str]) -> int | float | None:
    text = env.get(name)
    if not text:
        return None
    kind: Callable[[str], int | float] = int if name in WHOLE else float
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        problems.append(f"{name} must be a {'whole ' if name in WHOLE else ''}number above 0, not {text!r}")
        return None
    return value


def _given(numbers: Mapping[str, int | float | None]) -> dict[str, Any]:
    return {name: value for name, value in numbers.items() if value is not None}


def _order_problems(values: Mapping[str, Any]) -> list[str]:
    """Return problems of the order of durations, which could make a message be sent or answered twice."""
    return [
        f"{NUMBERS[longer]} must be longer than {NUMBERS[shorter]}"
        for shorter, longer in (("turn_timeout", "lease"),)
        if values[shorter] >= values[longer]
    ]


def _public_url_problem(url: str) -> str | None:
    if re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/[^\s?#]*)?", url) and _has_port(url):
        return None
    return f"RECADO_PUBLIC_URL must look like https://bot.example.com, not {url!r}"


def _has_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _networks(text: str, problems: list[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        problems.append(f"RECADO_ALLOWED_NETWORKS must look like 10.0.0.0/8,fd00::/8: {error}")
        return ()


def _providers(env: Mapping[str, str]) -> dict[str, ModelProvider]:
    return {
        name: ModelProvider(env[provider.key_variable], env.get(provider.url_variable) or None)
        for name, provider in PROVIDERS.items()
        if env.get(provider.key_variable)
    }
