"""Calls to language models: time limits, bounded retries, one error for whatever goes wrong."""

import asyncio
import importlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import structlog
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable

from graphs.config import ModelSpec
from graphs.state import Usage

log = structlog.get_logger()

TRIES = 3
LONGEST_WAIT = 20.0
"""Seconds to wait before trying again, whatever a provider asks for."""

FINAL_STATUSES = {400, 401, 403, 404, 405, 413, 422}
"""HTTP statuses that the same request would get again."""


FINAL_ERRORS = (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
)


class ModelFailure(Exception):
    """No usable answer. `retryable`: another try, or another provider, may give one."""

    def __init__(self, reason: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after = retry_after


class Access(Protocol):
    """How to reach a provider."""

    @property
    def api_key(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...


@dataclass(frozen=True, eq=False)
class Toolbox:
    """Tool declarations that a model may use, in OpenAI's form. `forced`: it must call this one."""

    declarations: Sequence[dict[str, Any]] = ()
    forced: str | None = None


@dataclass(frozen=True)
class Answer:
    """A model's message, reduced to what the next call needs, and what it cost."""

    message: AIMessage
    usage: Usage


@dataclass
class Models:
    """Model clients, made at their first use and kept: one of these per process and event loop."""

    access: Mapping[str, Access]
    _clients: dict[ModelSpec, BaseChatModel] = field(default_factory=dict)
    _bound: WeakKeyDictionary[Toolbox, dict[ModelSpec, Runnable[Any, AIMessage]]] = field(
        default_factory=WeakKeyDictionary
    )

    async def answer(self, spec: ModelSpec, messages: Sequence[BaseMessage], toolbox: Toolbox) -> Answer:
        """One usable answer: text, or well-formed tool calls. Raises ModelFailure."""
        for tries in range(1, TRIES + 1):
            try:
                return await self._try(spec, messages, toolbox)
            except ModelFailure as failure:
                if not failure.retryable or tries == TRIES:
                    raise
                await asyncio.sleep(_wait(tries, failure))
        raise AssertionError("the last try either returns or raises")

    async def close(self) -> None:
        """Closes the clients' connections."""
        for spec, client in self._clients.items():
            await _provider(spec.provider).close(client)
        self._clients.clear()

    async def _try(self, spec: ModelSpec, messages: Sequence[BaseMessage], toolbox: Toolbox) -> Answer:
        runnable = self._runnable(spec, toolbox)
        try:
            message = _reduced(await runnable.ainvoke(list(messages)))
            usage = _usage(spec, message)
        except Exception as error:
            # The providers' clients let their own errors through, those of three HTTP libraries, and whatever they
            # stumble over in an answer that is none: all of it means that there is no answer.
            failure = _failure(error)
            log.warning("model call failed", provider=spec.provider, model=spec.model, reason=str(failure))
            raise failure from None
        if not _usable(message):
            log.warning("model answered nonsense", provider=spec.provider, model=spec.model)
            raise ModelFailure("nonsense", retryable=True)
        return Answer(message.model_copy(update={"usage_metadata": None}), usage)

    def _runnable(self, spec: ModelSpec, toolbox: Toolbox) -> Runnable[Any, AIMessage]:
        bound = self._bound.setdefault(toolbox, {})
        if spec not in bound:
            client = self._client(spec)
            bound[spec] = (
                client.bind_tools(list(toolbox.declarations), tool_choice=toolbox.forced)
                if toolbox.declarations
                else cast("Runnable[Any, AIMessage]", client)
            )
        return bound[spec]

    def _client(self, spec: ModelSpec) -> BaseChatModel:
        client = self._clients.get(spec)
        if client is None:
            access = self.access.get(spec.provider)
            if access is None:
                key = f"{spec.provider.upper()}_API_KEY"
                raise ModelFailure(f"no key for {spec.provider}: set {key}", retryable=False)
            client = _provider(spec.provider).build(spec, access.api_key, access.base_url)
            self._clients[spec] = client
        return client


def preload(providers: Sequence[str]) -> None:
    """Imports the providers' packages, which takes a second or two, before the first turn needs them."""
    for provider in providers:
        _provider(provider)


def _provider(name: str) -> Any:
    # By name, so that a process imports only the providers it was given keys for.
    return importlib.import_module(f"graphs.providers.{name}")


def _failure(error: Exception) -> ModelFailure:
    status = next((status for e in (error, error.__cause__) if (status := _status(e))), None)
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    header = getattr(response, "headers", None) or {}
    retry_after = header.get("retry-after", "")
    return ModelFailure(
        f"{type(error).__name__} {status or ''}".strip(),
        retryable=status not in FINAL_STATUSES and not isinstance(error, FINAL_ERRORS),
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )


def _status(error: BaseException | None) -> int | None:
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _usable(message: AIMessage) -> bool:
    calls = message.tool_calls
    well_formed = all(call["name"] and call["id"] and isinstance(call["args"], dict) for call in calls)
    return well_formed and not message.invalid_tool_calls and bool(calls or message.text.strip())


def _wait(tries: int, failure: ModelFailure) -> float:
    backoff: float = 0.3 * 2**tries * random.uniform(0.5, 1.0)
    return min(max(backoff, failure.retry_after or 0.0), LONGEST_WAIT)


def _reduced(message: AIMessage) -> AIMessage:
    # What the provider says about its own answer (logs, ratings, fingerprints) would be stored with every turn.
    extras = {k: v for k, v in message.additional_kwargs.items() if k not in ("tool_calls", "refusal")}
    return AIMessage(
        content=_storable(message.content),
        tool_calls=_storable(message.tool_calls),
        invalid_tool_calls=message.invalid_tool_calls,
        additional_kwargs=_storable(extras),
        usage_metadata=message.usage_metadata,
        id=message.id,
    )


def _storable[T](value: T) -> T:
    """The value without what Postgres cannot hold: NUL characters, and halves of surrogate pairs."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = value.replace("\x00", "").encode("utf-8", "replace").decode()
    elif isinstance(value, list):
        cleaned = [_storable(item) for item in value]
    elif isinstance(value, dict):
        cleaned = {_storable(key): _storable(item) for key, item in value.items()}
    return cast("T", cleaned)


def _usage(spec: ModelSpec, message: AIMessage) -> Usage:
    counted = message.usage_metadata
    return Usage(
        model=f"{spec.provider}/{spec.model}",
        input_tokens=counted["input_tokens"] if counted else None,
        output_tokens=counted["output_tokens"] if counted else None,
    )
