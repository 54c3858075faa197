import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

from devkit.simulators.twilio.signing import sign
from devkit.simulators.twilio.wire import Broken, Origin, Unreachable, Wire

Params = list[tuple[str, str]]

UNREACHABLE = 11205
FAILED = 11200

# Most names and values of webhooks come again and again.
_quote = lru_cache(maxsize=2048)(quote_plus)


class Policy(NamedTuple):
    """Twilio's connection overrides, written in the fragment of a webhook's URL. Seconds here, milliseconds there."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    def retries_after(self, kind: str) -> bool:
        return kind in self.retry_on or ("all" in self.retry_on and kind != "")


def _clamped(text: str, low: int, high: int, default: float) -> float:
    return min(max(int(text), low), high) / 1000 if text.isdigit() else default


@lru_cache(maxsize=256)
def parse_policy(fragment: str) -> Policy:
    given = dict(parse_qsl(fragment))
    retries = given.get("rc", "")
    return Policy(
        connect=_clamped(given.get("ct", ""), 100, 10_000, 5.0),
        read=_clamped(given.get("rt", ""), 100, 15_000, 15.0),
        total=_clamped(given.get("tt", ""), 100, 15_000, 15.0),
        retries=min(int(retries), 5) if retries.isdigit() else 1,
        retry_on=frozenset(given.get("rp", "ct").split(",")),
    )


@lru_cache(maxsize=1024)
def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """The simulator posts to this machine and to nothing else."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme == "http" and _is_local(host) and url.isascii() and url.isprintable() and " " not in url


def idempotency_token(*parts: str) -> str:
    """The same for every try of the same webhook."""
    text = md5("/".join(parts).encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True)
class Outcome:
    """What became of a webhook: the status of the last answer, or the reason why there was none."""

    status: int | None = None
    body: str = ""
    error: str = ""
    error_code: int | None = None
    attempts: int = 0
    elapsed_ms: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """In the words of the retry policy."""
        if self.status is None:
            return "ct" if self.error_code == UNREACHABLE else "rt"
        return f"{self.status // 100}xx" if self.status >= 400 else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "status": self.status,
            "elapsed_ms": self.elapsed_ms,
            "attempts": self.attempts,
            "error": self.error or None,
            "error_code": self.error_code,
            "body": self.body,
        }


class Webhooks:
    def __init__(self) -> None:
        self._wire = Wire()

    def close(self) -> None:
        self._wire.close()

    async def post(self, url: str, params: Params, token: str, idempotency: str) -> Outcome:
        if not is_loopback(url):
            return Outcome(error="not an http:// address of this machine", error_code=UNREACHABLE)
        address, _, fragment = url.partition("#")
        policy = parse_policy(fragment)
        origin, request = _request(address, params, token, idempotency)
        begin = time.monotonic()
        outcome = Outcome()
        for attempt in range(1, policy.retries + 2):
            outcome = await self._try(origin, request, policy, begin + policy.total)
            outcome.attempts = attempt
            if not policy.retries_after(outcome.kind) or time.monotonic() >= begin + policy.total:
                break
        outcome.elapsed_ms = round((time.monotonic() - begin) * 1000, 1)
        return outcome

    async def _try(self, origin: Origin, request: bytes, policy: Policy, deadline: float) -> Outcome:
        try:
            answer = await self._wire.send(origin, request, policy.connect, policy.read, deadline)
        except Unreachable as error:
            return Outcome(error=str(error), error_code=UNREACHABLE)
        except Broken as error:
            return Outcome(error=str(error), error_code=FAILED)
        outcome = Outcome(status=answer.status, body=answer.body.decode(errors="replace"))
        if not outcome.ok:
            outcome.error, outcome.error_code = f"the webhook answered {answer.status}", FAILED
        return outcome


def _request(address: str, params: Params, token: str, idempotency: str) -> tuple[Origin, bytes]:
    parts = urlsplit(address)
    body = "&".join([f"{_quote(name)}={_quote(value)}" for name, value in params]).encode()
    # Taken from the text and not put together again: the signature covers the URL byte for byte.
    target = address[address.index(parts.netloc) + len(parts.netloc) :]
    head = (
        f"POST {target if target.startswith('/') else '/' + target} HTTP/1.1\r\n"
        f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
        "User-Agent: TwilioProxy/1.1\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"I-Twilio-Idempotency-Token: {idempotency}\r\n"
        f"X-Twilio-Signature: {sign(address, params, token)}\r\n\r\n"
    )
    return (parts.hostname or "", parts.port or 80), head.encode() + body
