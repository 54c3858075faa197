"""Call language models, one after another until one answers, with time limits and bounded retries."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable

from graphs.circuit_breaker import Breaker, LocalBreaker
from graphs.history import adapt, name_of, strip_metadata
from graphs.model_text import whole_sentences
from graphs.providers import PROVIDERS, Dialect
from graphs.providers.errors import CUT, ModelFailure, failure, finish_of, unusable
from graphs.providers.schemas import translated
from graphs.sections import ModelSpec, Price
from graphs.state import Usage
from tools.lru import LruCache

__all__ = ["Access", "ModelAnswer", "ModelFailure", "Models", "Record", "Toolbox", "no_record", "preload", "priced"]

log = structlog.get_logger()

TRIES = 3
"""The maximum number of calls of one model for one answer."""
LONGEST_WAIT = 20.0
"""The maximum wait in seconds before a retry, whatever the provider asks for."""
PATIENCE = 45.0
"""Seconds from the first call after which no retry begins."""
SHORT_TIMEOUT = 5.0
"""Seconds. A timeout counts against the provider only if the model's time limit is at least as long."""
MOST_CLIENTS = 500
"""The maximum number of model clients, one for each model with its settings."""
MOST_TOKENS = 2**31 - 1
"""A count of tokens above this or below 0 is recorded as unknown."""

Record = Callable[[Usage], object]
"""A function that is told of each model call that the provider charges for."""


def no_record(_: Usage) -> None:
    """Do nothing: the default."""


class Access(Protocol):
    """The access to a provider."""

    @property
    def api_key(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...


@dataclass(frozen=True, eq=False)
class Toolbox:
    """Tool declarations in OpenAI's form. The model must call the tool `forced`, if given."""

    declarations: Sequence[dict[str, Any]] = ()
    forced: str | None = None
    _translated: dict[Dialect, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    def translated(self, dialect: Dialect) -> list[dict[str, Any]]:
        """Return the declarations with what the provider accepts of their schemas. They are translated once."""
        if dialect not in self._translated:
            self._translated[dialect] = [translated(declaration, dialect) for declaration in self.declarations]
        return self._translated[dialect]

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the tools."""
        return frozenset(declaration["function"]["name"] for declaration in self.declarations)


@dataclass(frozen=True)
class ModelAnswer:
    """A model's message, reduced to what the next call needs, and its usage.

    `cut`: the model reached its limit of tokens, and the text ends with the last full sentence.
    """

    message: AIMessage
    usage: Usage
    cut: bool = False


@dataclass(frozen=True)
class _Question:
    """What every candidate is asked, and who is told of the calls."""

    messages: Sequence[BaseMessage]
    toolbox: Toolbox
    record: Record


@dataclass
class _Candidate:
    """A model of the list with its calls so far. `ready` is the time of its next retry."""

    spec: ModelSpec
    tries: int = 0
    failure: ModelFailure = field(
        default_factory=lambda: ModelFailure("not called, because its provider failed before", retryable=True)
    )
    ready: float = 0.0

    @property
    def may_try_again(self) -> bool:
        return self.failure.retryable and 0 < self.tries < TRIES

    @property
    def fails_by_chance(self) -> bool:
        """Whether an immediate retry may succeed: the connection broke, or one answer was bad."""
        failed = self.failure
        return self.may_try_again and failed.kind in ("unavailable", "answer") and failed.retry_after is None


@dataclass
class Models:
    """Model clients, created at their first use. Make one per process and event loop.

    The clients of a provider share the connections of its first one.
    """

    access: Mapping[str, Access]
    breaker: Breaker = field(default_factory=LocalBreaker)
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    _first: dict[str, BaseChatModel] = field(default_factory=dict)
    _clients: LruCache[ModelSpec, BaseChatModel] = field(default_factory=lambda: LruCache(MOST_CLIENTS))
    _bound: WeakKeyDictionary[Toolbox, dict[ModelSpec, Runnable[Any, AIMessage]]] = field(
        default_factory=WeakKeyDictionary
    )

    async def answer(
        self,
        specs: Sequence[ModelSpec],
        messages: Sequence[BaseMessage],
        toolbox: Toolbox,
        record: Record = no_record,
    ) -> ModelAnswer:
        """Return one usable answer, text or well-formed tool calls, of the first model that gives one.

        Raises ModelFailure. Before all others were called, a model is retried only once, and only if it failed by
        chance. A provider with an open breaker is called only when no other answered. `record` is told of every
        answer, usable or not.
        """
        candidates, question = [_Candidate(spec) for spec in dict.fromkeys(specs)], _Question(messages, toolbox, record)
        began = self.clock()
        answer = await self._first_round(candidates, question)
        if answer is None:
            answer = await self._further_tries(candidates, question, began + PATIENCE)
        passed_over = next((candidate for candidate in candidates if not candidate.tries), None)
        if answer is None and passed_over is not None:
            answer = await self._ask(passed_over, question)
        if answer is None:
            raise _combined_failure(candidates)
        return answer

    async def close(self) -> None:
        """Close the clients' connections."""
        self._clients.clear()
        while self._first:
            provider, client = self._first.popitem()
            await PROVIDERS[provider].module.close(client)

    async def _first_round(self, candidates: Sequence[_Candidate], question: _Question) -> ModelAnswer | None:
        for candidate in candidates:
            if not await self.breaker.allows(candidate.spec.provider):
                continue
            answer = await self._ask(candidate, question)
            if answer is None and candidate.fails_by_chance and len(candidates) > 1:
                answer = await self._ask(candidate, question)
            if answer is not None:
                return answer
        return None

    async def _further_tries(
        self, candidates: Sequence[_Candidate], question: _Question, until: float
    ) -> ModelAnswer | None:
        while waiting := [candidate for candidate in candidates if candidate.may_try_again]:
            candidate = min(waiting, key=lambda waits: waits.ready)
            now = self.clock()
            if max(now, candidate.ready) > until:
                return None
            if candidate.ready > now:
                await self.sleep(candidate.ready - now)
            if not await self.breaker.allows(candidate.spec.provider):
                candidate.tries = TRIES
                continue
            answer = await self._ask(candidate, question)
            if answer is not None:
                return answer
        return None

    async def _ask(self, candidate: _Candidate, question: _Question) -> ModelAnswer | None:
        """Call a model once. Return None if it failed, after telling the candidate and the breaker."""
        spec = candidate.spec
        candidate.tries += 1
        try:
            answer = await self._call(spec, question)
        except ModelFailure as failed:
            log.warning("model call failed", provider=spec.provider, model=spec.model, reason=str(failed))
            candidate.failure = failed
            candidate.ready = self.clock() + _wait(candidate.tries, failed)
            if failed.counts and (failed.kind != "timeout" or spec.timeout >= SHORT_TIMEOUT):
                await self.breaker.failed(spec.provider)
            elif failed.answered:
                await self.breaker.succeeded(spec.provider)
            return None
        await self.breaker.succeeded(spec.provider)
        return answer

    async def _call(self, spec: ModelSpec, question: _Question) -> ModelAnswer:
        runnable = self._runnable(spec, question.toolbox)
        try:
            # The clients limit each read only. A server that sends byte by byte would never be stopped.
            async with asyncio.timeout(spec.timeout):
                message = await runnable.ainvoke(list(adapt(question.messages, spec)))
            usage = _usage(spec, message)
            question.record(usage)
            problem = unusable(message, question.toolbox.names)
            answer = None if problem else _answer(message, spec, usage)
        except Exception as error:
            # The providers' clients raise their own errors, those of three HTTP libraries, and errors of parsing. Each
            # means that there is no answer.
            raise failure(error, spec.provider) from None
        if answer is None:
            raise problem or AssertionError("there is an answer or a problem")
        return answer

    def _runnable(self, spec: ModelSpec, toolbox: Toolbox) -> Runnable[Any, AIMessage]:
        bound = self._bound.setdefault(toolbox, {})
        if spec not in bound:
            client = self._client(spec)
            bound[spec] = (
                client.bind_tools(toolbox.translated(PROVIDERS[spec.provider].dialect), tool_choice=toolbox.forced)
                if toolbox.declarations
                else cast("Runnable[Any, AIMessage]", client)
            )
        return bound[spec]

    def _client(self, spec: ModelSpec) -> BaseChatModel:
        client = self._clients.get(spec)
        if client is None:
            access = self.access.get(spec.provider)
            if access is None:
                key = PROVIDERS[spec.provider].key_variable
                raise ModelFailure(f"no key for {spec.provider}: set {key}", retryable=False, kind="access")
            provider, first = PROVIDERS[spec.provider], self._first.get(spec.provider)
            base_url = access.base_url or provider.default_url
            client = provider.module.build(spec, access.api_key, base_url, first)
            self._first.setdefault(spec.provider, client)
            self._clients.put(spec, client)
        return client


def preload(providers: Sequence[str]) -> None:
    """Import the providers' packages, which takes up to two seconds, before the first turn needs them."""
    for provider in providers:
        _ = PROVIDERS[provider].module


def priced(usage: Usage, prices: Mapping[str, Price], agent: str | None) -> Usage:
    """Return the usage with its agent and, if price and token counts are known, its cost."""
    price = prices.get(usage["model"])
    asked, given = usage["input_tokens"], usage["output_tokens"]
    cost = None
    if price is not None and asked is not None and given is not None:
        amount = (asked * price.input + given * price.output) / 1_000_000
        cost = f"{amount.normalize():f} {price.currency}"
    return {**usage, "agent": agent, "cost": cost}


def _wait(tries: int, failed: ModelFailure) -> float:
    backoff: float = 0.3 * 2**tries * random.uniform(0.5, 1.0)
    return min(max(backoff, failed.retry_after or 0.0), LONGEST_WAIT)


def _combined_failure(candidates: Sequence[_Candidate]) -> ModelFailure:
    """Return one failure for all candidates."""
    failures = [candidate.failure for candidate in candidates]
    if len(failures) == 1:
        return failures[0]
    waits = [failed.retry_after for failed in failures if failed.retry_after is not None]
    return ModelFailure(
        "; ".join(f"{name_of(candidate.spec)}: {candidate.failure}" for candidate in candidates) or "no model to ask",
        retryable=any(failed.retryable for failed in failures),
        retry_after=min(waits, default=None),
    )


def _answer(message: AIMessage, spec: ModelSpec, usage: Usage) -> ModelAnswer:
    stripped = strip_metadata(message, spec)
    if stripped.tool_calls or finish_of(message) not in CUT:
        return ModelAnswer(stripped, usage)
    kept = whole_sentences(str(stripped.text)) or ""
    return ModelAnswer(stripped.model_copy(update={"content": kept}), usage, cut=True)


def _usage(spec: ModelSpec, message: AIMessage) -> Usage:
    counted = message.usage_metadata
    return Usage(
        model=name_of(spec),
        input_tokens=_believed(counted["input_tokens"]) if counted else None,
        output_tokens=_believed(counted["output_tokens"]) if counted else None,
    )


def _believed(tokens: int) -> int | None:
    return tokens if 0 <= tokens <= MOST_TOKENS else None
