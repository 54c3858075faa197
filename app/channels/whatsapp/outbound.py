"""Send through Twilio's API with time limits. An unclear result is reported as unknown."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from app.channels.base import (
    Accepted,
    Credentials,
    ListedMessage,
    LookupFailed,
    LookupUnauthorized,
    NotSent,
    OutgoingMessage,
    Refused,
    SendResult,
    Unauthorized,
    Unknown,
)
from app.channels.clock_skew import ClockSkew
from app.clock import Clock
from tools.lru import LruCache
from tools.net.resolver import HostResolver

TWILIO = "https://api.twilio.com"
RESOLVER_THREADS = 2
"""Threads that look up Twilio's host, and no other."""

MOST_CLIENTS = 10_000
"""The maximum number of Twilio's clients. They share the connections."""

LOOKUP_LIMIT = 200
"""The messages that a look-up reads, newest first."""

LOWEST_CODE = 1000
"""Twilio's codes are at or above this. Below it the client reports the HTTP status instead."""

RETRYABLE_CODES = {20429, 21611, 63007, 63017, 63018}
"""Refusals that may pass: rate limits, a full queue, a sender that is not ready."""

CREDENTIALS_REFUSED = 20003
CODES_OF_MESSAGES = 21000
"""Codes from here on are about one message or its parties. A 403 with a lower code is about the account."""


class _NotConnected(Exception):
    """The request was not sent."""


class _RateLimited(Exception):
    """Twilio did not process the request. `retry_after` is the wait that it asked for, in seconds, if any."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("rate limited")
        self.retry_after = retry_after


class _HttpClient(AsyncHttpClient):  # type: ignore[misc]
    """Sends requests to `base_url` with a time limit, and measures Twilio's clock with each answer."""

    def __init__(self, base_url: str, timeout: float, clock: Clock) -> None:
        super().__init__(_SILENT, is_async=True, timeout=timeout)
        self._base_url = base_url
        self._clock = clock
        self.clock_skew = ClockSkew()
        self._resolver = HostResolver(threads=RESOLVER_THREADS, per_tenant=RESOLVER_THREADS)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 5.0)),
            connector=aiohttp.TCPConnector(
                limit=100, keepalive_timeout=30, resolver=self._resolver, use_dns_cache=False
            ),
        )

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        requested = self._clock()
        try:
            async with self._session.request(
                method,
                self._base_url + uri.removeprefix(TWILIO),
                params={k: str(v) for k, v in (params or {}).items()} or None,
                data=urlencode(data, doseq=True).encode() if data else None,
                headers={
                    **(headers or {}),
                    "Content-Type": "application/x-www-form-urlencoded",
                    **({"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}),
                },
                allow_redirects=False,
            ) as answer:
                self.clock_skew.observe(answer.headers.get("Date"), requested, self._clock())
                if answer.status == 429:
                    raise _RateLimited(_seconds(answer.headers.get("Retry-After")))
                return Response(answer.status, await answer.text(), answer.headers)
        except aiohttp.ClientConnectorError as error:
            raise _NotConnected(type(error).__name__) from None

    async def close(self) -> None:
        await self._session.close()
        await self._resolver.close()


class TwilioGateway:
    """Sends WhatsApp messages. Create it inside the running loop, one per process."""

    def __init__(self, *, api_url: str, callback_url: str, timeout: float, clock: Clock) -> None:
        self._clock = clock
        self._http = _HttpClient(api_url, timeout, clock)
        self._callback_url = callback_url
        self._clients: LruCache[Credentials, Client] = LruCache(MOST_CLIENTS)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Post a message. Its status callback carries the id of the outbox row."""
        try:
            created = await self._client(message.credentials).messages.create_async(
                to=message.recipient,
                from_=message.sender,
                body=message.body,
                status_callback=f"{self._callback_url}?o={message.outbox_id}",
            )
        except (TwilioRestException, TwilioServiceException) as error:
            return _refusal(int(error.status), int(error.code or 0))
        except _RateLimited as error:
            return NotSent("rate limited", error.retry_after)
        except _NotConnected as error:
            return NotSent(str(error))
        except Exception as error:
            # A broken network, or an answer of which Twilio's client makes who knows what: we do not know.
            return Unknown(type(error).__name__)
        return Accepted(str(created.sid)) if created.sid else Unknown("an answer without a sid")

    @property
    def clock_skew(self) -> timedelta | None:
        """Twilio's time minus ours, as its latest answer showed. None before the first answer."""
        return self._http.clock_skew.latest

    async def find(self, message: OutgoingMessage) -> list[ListedMessage]:
        """Return the latest messages from this sender to this recipient, newest first.

        Their ages are differences between two times of Twilio: the Date header and the date of creation.
        """
        try:
            listed = await self._client(message.credentials).messages.list_async(
                to=message.recipient, from_=message.sender, limit=LOOKUP_LIMIT, page_size=LOOKUP_LIMIT
            )
        except Exception as error:
            if refusal := _list_refusal(error):
                raise LookupUnauthorized(refusal.reason) from None
            raise LookupFailed(type(error).__name__) from None
        twilio_now = self._clock() + (self.clock_skew or timedelta())
        wanted = " ".join(message.body.split())
        return [
            ListedMessage(
                str(found.sid), " ".join((found.body or "").split()) == wanted, twilio_now - found.date_created
            )
            for found in listed
            if found.date_created is not None
        ]

    async def takes_credentials(self, credentials: Credentials) -> bool | None:
        """Ask for one message of the account: the list needs the same permission as the messages that we send."""
        try:
            await self._client(credentials).messages.list_async(limit=1, page_size=1)
        except Exception as error:
            return False if _list_refusal(error) else None
        return True

    def _client(self, credentials: Credentials) -> Client:
        client = self._clients.get(credentials)
        if client is None:
            client = Client(credentials.account_sid, credentials.auth_token, http_client=self._http)
            self._clients.put(credentials, client)
        return client


def _refusal(status: int, code: int) -> SendResult:
    if status == 401 or code == CREDENTIALS_REFUSED or (status == 403 and LOWEST_CODE <= code < CODES_OF_MESSAGES):
        return Unauthorized(f"twilio {code}")
    if code in RETRYABLE_CODES:
        return NotSent(f"twilio {code}")
    if status >= 500 or status < 400 or code < LOWEST_CODE:
        # Without a code of Twilio's it was somebody between us and Twilio who said no.
        return Unknown(f"http {status}")
    return Refused(str(code))


def _list_refusal(error: Exception) -> Unauthorized | None:
    """Return how Twilio refused the credentials of a list. Its client raises the response itself for a list."""
    response = error.args[1] if isinstance(error, TwilioException) and len(error.args) > 1 else None
    if not isinstance(response, Response):
        return None
    try:
        refusal = _refusal(response.status_code, int(json.loads(response.text)["code"]))
    except (ValueError, TypeError, KeyError):
        return None
    return refusal if isinstance(refusal, Unauthorized) else None


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None


class _Silent:
    """A logger that drops everything. Twilio's base client would log whole requests, with contacts' texts."""

    def info(self, *_: object) -> None: ...


_SILENT: Any = _Silent()

__all__ = ["TwilioGateway"]
