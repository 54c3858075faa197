"""Tools that send one HTTP request to another system."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tools.kinds.form_bodies import (
    JSON_TYPE,
    MULTIPART,
    URLENCODED,
    FormField,
    is_json,
    multipart_body,
    urlencoded_body,
)
from tools.kinds.result_rendering import ResultRendering, decode_body, redact, render_refusal
from tools.kinds.templates import (
    MISSING,
    Body,
    Template,
    UrlTemplate,
    as_json,
    as_text,
    body_templates,
    check_headers,
    fill_body,
    fill_headers,
)
from tools.kinds.trusted_values import trusted_arguments
from tools.ports import JSON, HttpResponse, ToolContext, Unreachable

RETRY_PAUSE = 0.2
"""Average seconds before the second attempt. The pause doubles before each further attempt."""

TOO_MANY_REQUESTS = 429
REFUSED_STATUSES = frozenset({*range(400, 500), 307, 308}) - {408, 425}
"""Statuses which mean that the server did nothing. 408 and 425 may come from a proxy, while the server is at work."""
IN_PROGRESS = 409
"""A server that honours the Idempotency-Key also means by it that the first request with this key is at work."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
DEFAULT_HEADERS = {"User-Agent": "recado", "Accept": JSON_TYPE}


@dataclass(frozen=True)
class HttpPolicy:
    """How a request is sent. `retries` follow the first attempt; `timeout` is in seconds, for all attempts together.

    `write`: the request changes something. `idempotent`: the server honours the Idempotency-Key of a write, so that
    the write may be sent again.
    """

    write: bool
    idempotent: bool = False
    retries: int = 0
    timeout: float = 10.0
    rendering: ResultRendering = field(default_factory=ResultRendering)


@dataclass(frozen=True)
class HttpRequest:
    """A complete request."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


class RequestMaker(Protocol):
    """Builds requests from a model's arguments."""

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the requests hold."""
        ...

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the requests hold. They are given with the arguments."""
        ...

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments if a request cannot hold the arguments."""
        ...

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Return the request for these arguments. Raises InvalidArguments, Unreachable."""
        ...


@dataclass(frozen=True)
class HttpTemplate:
    """A request with placeholders. Without a `body`, the arguments in `body_arguments` are sent as a mapping."""

    method: str
    url: UrlTemplate
    headers: Mapping[str, Template]
    body: Body = None
    body_arguments: frozenset[str] = frozenset()

    @property
    def arguments(self) -> frozenset[str]:
        """The names of all arguments that the template uses."""
        texts = [*self.headers.values(), *body_templates(self.body)]
        return self.url.arguments.union(*(text.arguments for text in texts))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the template uses."""
        return self.url.secrets.union(*(text.secrets for text in [*self.headers.values(), *body_templates(self.body)]))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the template uses."""
        return self.url.trusted.union(*(text.trusted for text in [*self.headers.values(), *body_templates(self.body)]))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments if the address or a header cannot hold the arguments."""
        self.url.address(arguments)
        check_headers(self.headers.values(), arguments)

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Return the request for these arguments. Raises InvalidArguments, Unreachable."""
        self.check(arguments)
        headers = fill_headers(self.headers, arguments, secrets)
        value: Any = MISSING
        if self.body is not None:
            value = fill_body(self.body, arguments, secrets)
        elif self.body_arguments:
            value = {name: item for name, item in arguments.items() if name in self.body_arguments}
        url = self.url.fill(arguments, secrets)
        return (
            HttpRequest(self.method, url, headers)
            if value is MISSING
            else request_with_body(self.method, url, headers, value)
        )


def request_parser(
    maker: RequestMaker, parse_by_schema: Callable[[JSON], dict[str, Any]]
) -> Callable[[JSON], dict[str, Any]]:
    """Return a parser of arguments that applies the schema's parser first and then the maker's check."""

    def parse(arguments: JSON) -> dict[str, Any]:
        parsed = parse_by_schema(arguments)
        maker.check({**parsed, **dict.fromkeys(maker.trusted, "given later")})
        return parsed

    return parse


def request_runner(maker: RequestMaker, policy: HttpPolicy) -> Callable[[ToolContext, Any], Awaitable[JSON]]:
    """Return the `run` of a tool that sends the maker's request."""

    async def run(context: ToolContext, arguments: Any) -> JSON:
        complete = {**arguments, **trusted_arguments(maker.trusted, context.trusted)}
        return await send_request(context, maker.request(complete, context.secrets), policy)

    return run


def request_with_body(
    method: str, url: str, headers: Mapping[str, str], value: Any, fields: Iterable[FormField] = ()
) -> HttpRequest:
    """Return a request with a body. Its Content-Type selects JSON (the default), a form, or text.

    `fields` say how fields of a form are written. Raises InvalidArguments for values that a form cannot hold.
    """
    content_type = next((text for name, text in headers.items() if name.lower() == "content-type"), JSON_TYPE)
    media_type = content_type.split(";")[0].strip().lower()
    if media_type == URLENCODED and isinstance(value, Mapping):
        body = urlencoded_body(value, fields).encode()
    elif media_type == MULTIPART and isinstance(value, Mapping):
        content_type, body = multipart_body(value, fields)
    else:
        body = (as_json(value) if is_json(media_type) else as_text(value)).encode()
    others = {name: text for name, text in headers.items() if name.lower() != "content-type"}
    return HttpRequest(method, url, {**others, "Content-Type": content_type}, body)


async def send_request(context: ToolContext, request: HttpRequest, policy: HttpPolicy) -> JSON:
    """Send the request and return the result for the model. A refusal by the server is a result, too.

    Raises Unreachable if no answer arrived, or if the answer does not say whether a write was done. The text of the
    exception holds no secret.
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
    sent, reason = context.begun_before, ""
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
            sent, reason = True, f"the server answered with status {response.status}"
        elif response.status != TOO_MANY_REQUESTS or attempt == retries:
            return response
        else:
            reason = "the server limits the rate of requests"
    raise Unreachable(reason, sent=sent)


def _is_settled(status: int, policy: HttpPolicy, *, sent: bool) -> bool:
    """Return whether the status says if the request was done."""
    if not policy.write:
        return status < 500
    # A refusal of the second attempt does not mean that the first was refused.
    refused = status in REFUSED_STATUSES and not sent and not (policy.idempotent and status == IN_PROGRESS)
    return 200 <= status < 300 or refused
