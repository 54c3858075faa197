"""Post signed webhooks, with Twilio's timeouts and retries."""

import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

from devkit.simulators.twilio.keep_alive_client import ConnectFailed, IncompleteAnswer, KeepAliveClient, Origin
from devkit.simulators.twilio.signing import sign

Params = list[tuple[str, str]]

WEBHOOK_UNREACHABLE = 11205
WEBHOOK_FAILED = 11200

# Cached, because most names and values of webhooks repeat.
_quote = lru_cache(maxsize=2048)(quote_plus)


class ConnectionPolicy(NamedTuple):
    """The timeouts in seconds and the retries of a webhook. They are Twilio's connection overrides."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    def retries_after(self, kind: str) -> bool:
        """Return whether a failure of this kind is retried."""
        return kind in self.retry_on or ("all" in self.retry_on and kind != "")


def _clamped(text: str, low: int, high: int, default: float) -> float:
    return min(max(int(text), low), high) / 1000 if text.isdigit() else default


@lru_cache(maxsize=256)
def parse_policy(fragment: str) -> ConnectionPolicy:
    """Parse connection overrides, the fragment of a webhook's URL. They are in milliseconds, limited as at Twilio."""
    given = dict(parse_qsl(fragment))
    retries = given.get("rc", "")
    return ConnectionPolicy(
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
    """Return whether the URL is one of this machine. The simulator posts to no other."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme == "http" and _is_local(host) and url.isascii() and url.isprintable() and " " not in url


def idempotency_token(*parts: str) -> str:
    """Return the I-Twilio-Idempotency-Token. It is the same for all attempts of a webhook."""
    text = md5("/".join(parts).encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True)
class WebhookResult:
    """The last answer to a webhook, or the error if there was none. `error_code` is Twilio's."""

    status: int | None = None
    body: str = ""
    error: str = ""
    error_code: int | None = None
    attempts: int = 0
    elapsed_ms: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the webhook answered with a status from 200 to 299."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """The kind of failure as connection overrides name it: `ct`, `rt`, `4xx` or `5xx`. '' if there was none."""
        if self.status is None:
            return "ct" if self.error_code == WEBHOOK_UNREACHABLE else "rt"
        return f"{self.status // 100}xx" if self.status >= 400 else ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields that the control endpoints show."""
        return {
            "ok": self.ok,
            "status": self.status,
            "elapsed_ms": self.elapsed_ms,
            "attempts": self.attempts,
            "error": self.error or None,
            "error_code": self.error_code,
            "body": self.body,
        }


class WebhookSender:
    """Posts webhooks over connections that are kept alive."""

    def __init__(self) -> None:
        self._client = KeepAliveClient()

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    async def post(self, url: str, params: Params, token: str, idempotency: str) -> WebhookResult:
        """Post a webhook, and retry it as the URL's overrides say. `token` signs it."""
        if not is_loopback(url):
            return WebhookResult(error="not an http:// address of this machine", error_code=WEBHOOK_UNREACHABLE)
        address, _, fragment = url.partition("#")
        policy = parse_policy(fragment)
        origin, request = _request(address, params, token, idempotency)
        begin = time.monotonic()
        result = WebhookResult()
        for attempt in range(1, policy.retries + 2):
            result = await self._try(origin, request, policy, begin + policy.total)
            result.attempts = attempt
            if not policy.retries_after(result.kind) or time.monotonic() >= begin + policy.total:
                break
        result.elapsed_ms = round((time.monotonic() - begin) * 1000, 1)
        return result

    async def _try(self, origin: Origin, request: bytes, policy: ConnectionPolicy, deadline: float) -> WebhookResult:
        try:
            answer = await self._client.send(origin, request, policy.connect, policy.read, deadline)
        except ConnectFailed as error:
            return WebhookResult(error=str(error), error_code=WEBHOOK_UNREACHABLE)
        except IncompleteAnswer as error:
            return WebhookResult(error=str(error), error_code=WEBHOOK_FAILED)
        result = WebhookResult(status=answer.status, body=answer.body.decode(errors="replace"))
        if not result.ok:
            result.error, result.error_code = f"the webhook answered {answer.status}", WEBHOOK_FAILED
        return result


def _request(address: str, params: Params, token: str, idempotency: str) -> tuple[Origin, bytes]:
    parts = urlsplit(address)
    body = "&".join([f"{_quote(name)}={_quote(value)}" for name, value in params]).encode()
    # Cut from the URL's text, because the signature covers the URL byte for byte.
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
