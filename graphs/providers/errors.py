"""What went wrong with a model call, in one form for all providers.

The providers' clients let through their own errors, LangChain's, those of three HTTP libraries, and whatever they
stumble over in an answer that is none. None of their packages is imported here: a process has only those that it has
keys for.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from json import JSONDecodeError
from typing import Any, Literal

from langchain_core.exceptions import ModelAPIError, ModelConnectionError, ModelError, ModelTimeoutError
from langchain_core.messages import AIMessage

Kind = Literal["limit", "timeout", "unavailable", "access", "request", "answer"]
"""`limit`: too many requests; `unavailable`: down, or not speaking its own protocol; `access`: not with this key, or no
such model; `request`: the provider does not take it; `answer`: it answered nothing that can be used."""

FINAL_STATUSES: Mapping[int, Kind] = {
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
NETWORK_LIBRARIES = {"aiohttp", "groq", "httpcore", "httpx", "httpx2", "openai"}
QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached"}
"""What OpenAI says with a 429 that no waiting ends."""

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
CUT = {"length", "max_tokens"}


class ModelFailure(Exception):
    """No usable answer. `retryable`: another try may give one, not before `retry_after` seconds if that is known.

    `sick`: it speaks against the provider as a whole, and not only against this model, key or request.
    """

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool,
        retry_after: float | None = None,
        kind: Kind = "answer",
        sick: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after = retry_after
        self.kind = kind
        self.sick = sick

    @property
    def answered(self) -> bool:
        """Whether the provider is there, for all that it gave no answer."""
        return self.kind in ("access", "request", "answer")


def failure(error: Exception) -> ModelFailure:
    """The failure that a client's error means. Its text is the error's type and status, and nothing that it carried."""
    if isinstance(error, ModelFailure):
        return error
    status, code, retry_after = _first(_status, error), _first(_code, error), _first(_retry_after, error)
    kind = _kind(error, status)
    retryable = status not in FINAL_STATUSES and not (isinstance(error, ModelError) and not error.is_retryable)
    if code == "tool_use_failed":
        # Groq's 400 for a call that its own model wrote badly: the next one may be better.
        kind, retryable = "answer", True
    elif code in QUOTA_CODES:
        retryable = False
    return ModelFailure(
        f"{type(error).__name__} {status or ''}".strip(),
        retryable=retryable,
        retry_after=retry_after,
        kind=kind,
        sick=status == 401 or (kind in ("limit", "timeout", "unavailable") and _known(error, status)),
    )


def unusable(message: AIMessage) -> ModelFailure | None:
    """Why there is nothing in the message to go on with; None if there is."""
    calls = message.tool_calls
    well_formed = all(call["name"] and call["id"] and isinstance(call["args"], dict) for call in calls)
    if well_formed and not message.invalid_tool_calls and (calls or message.text.strip(" \t\r\n\x00")):
        return None
    told = message.response_metadata
    finish = str(told.get("finish_reason", "")).lower()
    if finish in BLOCKED or told.get("prompt_feedback") or message.additional_kwargs.get("refusal"):
        return ModelFailure("the provider blocked the answer", retryable=False)
    if finish in CUT:
        return ModelFailure("the answer was cut before anything was said", retryable=False)
    return ModelFailure("nonsense", retryable=True)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from: it is often one of these that knows the details."""
    while error is not None:
        yield error
        error = error.__cause__


def _first[T](look: Callable[[BaseException], T | None], error: Exception) -> T | None:
    return next((found for inner in _chain(error) if (found := look(inner)) is not None), None)


def _kind(error: Exception, status: int | None) -> Kind:
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
        # OpenAI's client calls it a timeout, too, when the server hangs up.
        return False
    return isinstance(error, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(error).__mro__)


def _known(error: Exception, status: int | None) -> bool:
    """Whether it is surely the provider's or the network's: what we cannot tell may be an odd request of one tenant."""
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
    told = headers.get("retry-after") or _retry_delay(getattr(error, "details", None))
    try:
        seconds = float(told or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _retry_delay(details: Any) -> str | None:
    """Gemini's way to ask for a wait: `17s` in the error's details."""
    try:
        infos = (info for info in details["error"]["details"] if info.get("@type") == RETRY_INFO)
        return next((str(info["retryDelay"]).removesuffix("s") for info in infos), None)
    except (AttributeError, KeyError, TypeError):
        return None
