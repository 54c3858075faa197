"""Tools that are one request to another system."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from tools.kinds.result_rendering import ResultRendering, decode_body, redact, render_refusal
from tools.kinds.templates import (
    MISSING,
    Body,
    Template,
    UrlTemplate,
    as_text,
    body_templates,
    check_headers,
    fill_body,
    fill_headers,
)
from tools.ports import JSON, HttpResponse, ToolContext, Unreachable

RETRY_PAUSE = 0.2
"""Seconds before the second attempt, about; twice as long before each further one."""

TOO_MANY_REQUESTS = 429
REFUSED_STATUSES = frozenset({*range(400, 500), 307, 308})
"""Statuses that say: nothing was done."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE = "application/json"
FORM = "application/x-www-form-urlencoded"
DEFAULT_HEADERS = {"User-Agent": "recado", "Accept": JSON_TYPE}


@dataclass(frozen=True)
class HttpPolicy:
    """How a request is made. `retries` come after the first attempt; `timeout` is for all of them, in seconds.

    `write`: it changes something there. `idempotent`: and honours the Idempotency-Key, so it may be sent again.
    """

    write: bool
    idempotent: bool = False
    retries: int = 0
    timeout: float = 10.0
    rendering: ResultRendering = field(default_factory=ResultRendering)


@dataclass(frozen=True)
class HttpRequest:
    """A request with nothing left to fill in."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


class RequestMaker(Protocol):
    """Makes requests of a model's arguments."""

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that the requests hold."""
        ...

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises InvalidArguments for what no request can hold."""
        ...

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """The request. Raises InvalidArguments, Unreachable."""
        ...


@dataclass(frozen=True)
class HttpTemplate:
    """A request with holes. Without a `body`, the arguments that `rest` names are sent as one."""

    method: str
    url: UrlTemplate
    headers: Mapping[str, Template]
    body: Body = None
    rest: frozenset[str] = frozenset()

    @property
    def arguments(self) -> frozenset[str]:
        """All arguments that it has holes for."""
        texts = [*self.headers.values(), *body_templates(self.body)]
        return self.url.arguments.union(*(text.arguments for text in texts))

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that it takes."""
        return self.url.secrets.union(*(text.secrets for text in [*self.headers.values(), *body_templates(self.body)]))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises InvalidArguments for what no address and no header can hold."""
        self.url.address(arguments)
        check_headers(self.headers.values(), arguments)

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """The request. Raises InvalidArguments, Unreachable."""
        self.check(arguments)
        headers = fill_headers(self.headers, arguments, secrets)
        value: Any = MISSING
        if self.body is not None:
            value = fill_body(self.body, arguments, secrets)
        elif self.rest:
            value = {name: item for name, item in arguments.items() if name in self.rest}
        url = self.url.text(arguments, secrets)
        return (
            HttpRequest(self.method, url, headers)
            if value is MISSING
            else request_with_body(self.method, url, headers, value)
        )


def request_parser(maker: RequestMaker, parsed: Callable[[JSON], dict[str, Any]]) -> Callable[[JSON], dict[str, Any]]:
    """What parses a model's arguments: checks them first by their schema, then by where they are to go."""

    def parse(arguments: JSON) -> dict[str, Any]:
        known = parsed(arguments)
        maker.check(known)
        return known

    return parse


def request_runner(maker: RequestMaker, policy: HttpPolicy) -> Callable[[ToolContext, Any], Awaitable[JSON]]:
    """What runs the tool."""

    async def run(context: ToolContext, arguments: Any) -> JSON:
        return await send_request(context, maker.request(arguments, context.secrets), policy)

    return run


def request_with_body(method: str, url: str, headers: Mapping[str, str], value: Any) -> HttpRequest:
    """A request whose body is a form or a text if its Content-Type says so, otherwise JSON."""
    kind = next((text for name, text in headers.items() if name.lower() == "content-type"), JSON_TYPE)
    plain = kind.split(";")[0].strip().lower()
    if plain == FORM and isinstance(value, Mapping):
        body = urlencode([(name, as_text(item)) for name, item in value.items() if item is not None])
    elif plain.endswith("json"):
        body = json.dumps(value, ensure_ascii=False, allow_nan=False)
    else:
        body = as_text(value)
    others = {name: text for name, text in headers.items() if name.lower() != "content-type"}
    return HttpRequest(method, url, {**others, "Content-Type": kind}, body.encode())


async def send_request(context: ToolContext, request: HttpRequest, policy: HttpPolicy) -> JSON:
    """The answer as a model is shown it; a refusal is an answer too.

    Raises Unreachable: no answer, or one that does not say what became of a change. Its text holds no secret.
    """
    named = {name.lower() for name in request.headers}
    defaults = {name: text for name, text in DEFAULT_HEADERS.items() if name.lower() not in named}
    headers = {**defaults, **request.headers}
    if policy.write:
        headers["Idempotency-Key"] = context.key
    try:
        response = await _send_with_retries(context, request, headers, policy)
    except Unreachable as error:
        raise Unreachable(redact(str(error), context.secrets), sent=error.sent) from None
    if response.status >= 300:
        return render_refusal(response, context.secrets)
    notes = ("cut: the answer was too long to be read whole",) if response.cut else ()
    return {"status": response.status, **policy.rendering.render(decode_body(response), context.secrets, notes)}


async def _send_with_retries(
    context: ToolContext, request: HttpRequest, headers: Mapping[str, str], policy: HttpPolicy
) -> HttpResponse:
    clock = asyncio.get_running_loop().time
    deadline = clock() + policy.timeout
    retries = policy.retries if policy.idempotent or not policy.write else 0
    sent, reason = False, ""
    for attempt in range(1 + retries):
        if attempt:
            await asyncio.sleep(RETRY_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        left = deadline - clock()
        if attempt and left <= 0:
            break
        try:
            response = await context.http_client.request(
                request.method, request.url, headers=headers, body=request.body, timeout=left
            )
        except Unreachable as error:
            sent, reason = sent or error.sent, str(error)
            continue
        if not _is_settled(response.status, policy, sent=sent):
            sent, reason = True, f"the other side answered with status {response.status}"
        elif response.status != TOO_MANY_REQUESTS or attempt == retries:
            return response
        else:
            reason = "the other side wants fewer requests"
    raise Unreachable(reason, sent=sent)


def _is_settled(status: int, policy: HttpPolicy, *, sent: bool) -> bool:
    """Whether the answer says what became of the request."""
    if not policy.write:
        return status < 500
    # A refusal of a second attempt does not say that the first was refused as well.
    return 200 <= status < 300 or (status in REFUSED_STATUSES and not sent)
