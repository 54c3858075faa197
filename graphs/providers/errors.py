"""Classify the failures of model calls, in one form for all providers.

The providers' clients raise their own errors, LangChain's, those of three HTTP libraries, and errors of parsing. No
provider's package is imported here: a process imports only those that it has keys for.
"""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from json import JSONDecodeError
from typing import Any

from langchain_core.exceptions import ModelAPIError, ModelConnectionError, ModelError, ModelTimeoutError
from langchain_core.messages import AIMessage

from graphs.model_text import is_call, spoken_text, whole_sentences
from graphs.providers import PROVIDERS, FailureKind

FINAL_STATUSES: Mapping[int, FailureKind] = {
    400: "request",
    401: "access",
    402: "access",
    403: "access",
    404: "access",
    405: "request",
    413: "request",
    422: "request",
}
"""HTTP statuses that the same request would get again."""

LIMIT_STATUSES = {425, 429, 498}
NETWORK_LIBRARIES = {"aiohttp", "httpcore", "httpx", "httpx2"} | {provider.sdk for provider in PROVIDERS.values()}

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
BLOCKED = {
    "blocklist",
    "content_filter",
    "image_safety",
    "language",
    "prohibited_content",
    "recitation",
    "safety",
    "spii",
}
LONGEST_ARGUMENTS = 64_000
"""The number of characters of a call's arguments as JSON. A longer call is no usable answer."""
CUT = {"length", "max_tokens"}


class ModelFailure(Exception):
    """A call without a usable answer.

    `retryable`: another call may succeed, not before `retry_after` seconds if that is known. `counts`: the failure
    counts against the provider in the circuit breaker, not only against this model, key or request.
    """

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool,
        retry_after: float | None = None,
        kind: FailureKind = "answer",
        counts: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after = retry_after
        self.kind = kind
        self.counts = counts

    @property
    def answered(self) -> bool:
        """Whether the provider responded, although not with a usable answer."""
        return self.kind in ("access", "request", "answer")


def failure(error: Exception, provider: str) -> ModelFailure:
    """Return the failure for an error of a provider's client. Its text has the error's type and status only."""
    if isinstance(error, ModelFailure):
        return error
    status, code, retry_after = _first(_status, error), _first(_code, error), _first(_retry_after, error)
    kind = _kind(error, status)
    retryable = status not in FINAL_STATUSES and not (isinstance(error, ModelError) and not error.is_retryable)
    if meaning := PROVIDERS[provider].error_codes.get(code or ""):
        kind, retryable = meaning.kind or kind, meaning.retryable
    return ModelFailure(
        f"{type(error).__name__} {status or ''}".strip(),
        retryable=retryable,
        retry_after=retry_after,
        kind=kind,
        counts=status == 401 or (kind in ("limit", "timeout", "unavailable") and _known(error, status)),
    )


def unusable(message: AIMessage, tools: Collection[str] = ()) -> ModelFailure | None:
    """Return why the message cannot be used, or None if it can. `tools` are the names that the model was given."""
    calls, spoken = message.tool_calls, spoken_text(message.text.strip(" \t\r\n\x00"))
    well_formed = all(
        call["name"] and call["id"] and isinstance(call["args"], dict) and _fits(call["args"]) for call in calls
    )
    finish = finish_of(message)
    if well_formed and not message.invalid_tool_calls and calls:
        return None
    if finish in BLOCKED:
        return ModelFailure("the provider blocked the answer", retryable=False)
    if spoken and not calls and not message.invalid_tool_calls:
        if is_call(spoken, tools):
            return ModelFailure("the answer is a tool call that is written as text", retryable=True)
        if finish not in CUT or whole_sentences(spoken) is not None:
            return None
    if message.response_metadata.get("prompt_feedback") or message.additional_kwargs.get("refusal"):
        return ModelFailure("the provider blocked the answer", retryable=False)
    if finish in CUT:
        return ModelFailure(f"the answer was cut before {'a full sentence' if spoken else 'any text'}", retryable=False)
    return ModelFailure("the answer has neither text nor a well-formed tool call", retryable=True)


def finish_of(message: AIMessage) -> str:
    """Return why the model has ended its answer, in lower case, as its provider says it."""
    return str(message.response_metadata.get("finish_reason", "")).lower()


def _fits(arguments: Mapping[str, Any]) -> bool:
    try:
        return len(json.dumps(arguments)) <= LONGEST_ARGUMENTS
    except RecursionError:
        return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes. The details are often in a cause."""
    while error is not None:
        yield error
        error = error.__cause__


def _first[T](look: Callable[[BaseException], T | None], error: Exception) -> T | None:
    return next((found for inner in _chain(error) if (found := look(inner)) is not None), None)


def _kind(error: Exception, status: int | None) -> FailureKind:
    if status is not None and status in FINAL_STATUSES:
        return FINAL_STATUSES[status]
    if status in LIMIT_STATUSES:
        return "limit"
    if status == 408 or (status is None and _timed_out(error)):
        return "timeout"
    if isinstance(error, ModelError) and not error.is_retryable:
        return "request"
    return "unavailable"


def _timed_out(error: Exception) -> bool:
    if any(type(inner).__name__ == "ServerDisconnectedError" for inner in _chain(error)):
        # OpenAI's client also raises a timeout when the server closes the connection.
        return False
    return isinstance(error, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(error).__mro__)


def _known(error: Exception, status: int | None) -> bool:
    """Return whether the provider or the network failed. Other errors may be caused by one tenant's request."""
    known = TimeoutError | OSError | JSONDecodeError | ModelAPIError | ModelConnectionError | ModelTimeoutError
    return (
        status is not None
        or isinstance(error, known)
        or type(error).__module__.split(".")[0].strip("_") in NETWORK_LIBRARIES
    )


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _code(error: BaseException) -> str | None:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) else None


def _retry_after(error: BaseException) -> float | None:
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    delay = headers.get("retry-after") or _retry_delay(getattr(error, "details", None))
    try:
        seconds = float(delay or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _retry_delay(details: Any) -> str | None:
    """Return the wait in the details of a Gemini error, such as `17s`, without its unit."""
    try:
        infos = (info for info in details["error"]["details"] if info.get("@type") == RETRY_INFO)
        return next((str(info["retryDelay"]).removesuffix("s") for info in infos), None)
    except (AttributeError, KeyError, TypeError):
        return None
