"""Serve the providers' endpoints, with answers from scripts and faults from a plan."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from devkit.simulators.llm import codec, embeddings
from devkit.simulators.llm.chat import (
    TRANSPORT_FAULTS,
    ChatAnswer,
    ChatRequest,
    Fault,
    RequestRejected,
    WireFormat,
    new_id,
)
from devkit.simulators.llm.faults import FaultPlan, ModelFaultInjector
from devkit.simulators.llm.gemini_format import GeminiFormat
from devkit.simulators.llm.openai_format import OpenAIFormat
from devkit.simulators.llm.request_log import ABANDONED, DROPPED, LoggedRequest, RequestLog
from devkit.simulators.llm.request_view import RequestView
from devkit.simulators.llm.script import CompiledRule, ScriptLibrary
from graphs.providers import PROVIDERS, Provider

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Responder = Callable[[WireFormat, web.Request, bytes, LoggedRequest], Awaitable[web.StreamResponse]]


def make_wire_format(provider: Provider) -> WireFormat:
    """Return the wire format of a provider's API."""
    if provider.dialect == "gemini":
        return GeminiFormat(provider.name)
    return OpenAIFormat(provider.name, groq=provider.dialect == "groq")


WIRE_FORMATS: Mapping[str, WireFormat] = {name: make_wire_format(provider) for name, provider in PROVIDERS.items()}

MAX_BODY = 64 * 1024 * 1024

_MODELS = {
    "openai": ("gpt-5", "gpt-5-mini", "gpt-5-nano", "text-embedding-3-small", "text-embedding-3-large"),
    "groq": ("llama-3.3-70b-versatile", "llama-3.1-8b-instant", "openai/gpt-oss-120b"),
}
_MESSAGES = {
    403: "The caller does not have permission.",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The model is overloaded. Please try again later.",
}
_GROQ_LIMITS = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """The options of the command line. An empty `key` accepts any API key. Without `log`, requests are only counted."""

    latency_ms: float = 0.0
    key: str = ""
    log: bool = True


class _ConnectionDropped(Exception):
    """The connection is closed without an answer."""


class ModelSimulator:
    """The simulated providers, with their scripts, faults and log."""

    def __init__(self, library: ScriptLibrary, options: SimulatorOptions) -> None:
        self.library = library
        self.options = options
        self.request_log = RequestLog(options.log)
        self.faults = ModelFaultInjector(FaultPlan(latency_ms=options.latency_ms))

    def reset(self) -> None:
        """Restore scripts, faults and log as they were at the start."""
        self.library.reset()
        self.request_log.reset()
        self.faults = ModelFaultInjector(FaultPlan(latency_ms=self.options.latency_ms))

    def application(self) -> web.Application:
        """Return the application with the endpoints of all providers."""
        application = web.Application(client_max_size=MAX_BODY)
        routes = application.router
        for name, wire_format in WIRE_FORMATS.items():
            base = _api_base(PROVIDERS[name])
            routes.add_post(_chat_path(PROVIDERS[name]), self._handler(wire_format, self._complete))
            if PROVIDERS[name].dialect != "gemini":
                routes.add_get(f"{base}/models", partial(self._models, wire_format))
        routes.add_post("/v1/embeddings", self._handler(WIRE_FORMATS["openai"], self._embed))
        routes.add_route("*", "/{path:.*}", self._unknown)
        return application

    def _handler(self, wire_format: WireFormat, answer: Responder) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            entry = self.request_log.begin(wire_format.provider, wire_format, body)
            status = ABANDONED
            try:
                self._authorise(wire_format, request)
                response = await answer(wire_format, request, body, entry)
                status = response.status
            except _ConnectionDropped:
                status = DROPPED
                response = _close_connection(request)
            except RequestRejected as error:
                status = error.status
                entry.kind, entry.error = "error", error.message
                response = self._failure(wire_format, error)
            finally:
                self.request_log.end(entry, status)
            return response

        return handle

    def _authorise(self, wire_format: WireFormat, request: web.Request) -> None:
        if isinstance(wire_format, GeminiFormat):
            given = request.headers.get("x-goog-api-key") or request.query.get("key", "")
        else:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            given = given.strip() if scheme.lower() == "bearer" else ""
        if not given:
            raise RequestRejected(401, "You didn't provide an API key.")
        if self.options.key and given != self.options.key:
            raise RequestRejected(401, "Incorrect API key provided.")

    async def _complete(
        self, wire_format: WireFormat, request: web.Request, body: bytes, entry: LoggedRequest
    ) -> web.StreamResponse:
        chat = self._read(wire_format, request, body)
        entry.model, entry.tools, entry.structured = chat.model, tuple(chat.tools), chat.structured
        view = RequestView(chat)
        script = self.library.find(view.system)
        entry.script = script.name
        fault = self.faults.draw(wire_format.provider)
        delay = self.faults.delay(wire_format.provider)
        answer = ChatAnswer()
        if fault is None or not _is_transport_fault(fault):
            entry.rule, rule, found = script.choose(view)
            delay += rule.delay
            if _is_transport_fault(rule.fail):
                self._undo_draw(fault)
                fault = rule.fail
            else:
                answer = script.answer(view, rule, found)
                fault = self._damage(answer, fault, rule)
                entry.answer = answer
        if delay:
            await asyncio.sleep(delay)
        if fault is not None:
            entry.kind = f"fault:{fault}"
        if _is_transport_fault(fault):
            return await self._fail(chat, fault)
        return self._deliver(wire_format, request, chat, answer)

    def _read(self, wire_format: WireFormat, request: web.Request, body: bytes) -> ChatRequest:
        target = request.match_info.get("target", "")
        if isinstance(wire_format, GeminiFormat) and not target.endswith(
            (":generateContent", ":streamGenerateContent")
        ):
            raise RequestRejected(404, f"The method {target} does not exist.")
        try:
            return wire_format.read(body, target)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RequestRejected(400, f"The request is malformed: {error!r}") from error

    def _damage(self, answer: ChatAnswer, fault: Fault | None, rule: CompiledRule) -> Fault | None:
        """Damage the answer by the plan's fault. Return the fault that the answer has, which may be the rule's."""
        if fault is None:
            return rule.fail
        if answer.damage(fault):
            return fault
        self._undo_draw(fault)
        return rule.fail

    def _undo_draw(self, fault: Fault | None) -> None:
        if fault is not None:
            self.faults.undo_draw()

    async def _fail(self, chat: ChatRequest | None, fault: Fault | None) -> web.StreamResponse:
        if isinstance(fault, int):
            raise RequestRejected(fault, _MESSAGES.get(fault, f"Simulated failure {fault}."))
        if fault == "garbage":
            stream = chat is not None and chat.stream
            body = b'data: {"id": "broken", "choi\n\n' if stream else b'{"id": "broken", "choi'
            return _response(body, _SSE if stream else _JSON)
        if fault == "timeout":
            await asyncio.sleep(self.faults.plan.hang_s)
        raise _ConnectionDropped

    def _deliver(
        self, wire_format: WireFormat, request: web.Request, chat: ChatRequest, answer: ChatAnswer
    ) -> web.StreamResponse:
        limits = _limits(wire_format)
        if not chat.stream:
            return _response(wire_format.reply(chat, answer), _JSON, limits)
        if isinstance(wire_format, GeminiFormat) and request.query.get("alt") != "sse":
            return _response(wire_format.array(chat, answer), _JSON)
        return _response(wire_format.events(chat, answer), _SSE, limits)

    def _failure(self, wire_format: WireFormat, error: RequestRejected) -> web.Response:
        headers = _limits(wire_format)
        if error.status == 429:
            headers = {**headers, "retry-after": f"{self.faults.plan.retry_after_s:g}"}
        return _response(wire_format.error(error), _JSON, headers, error.status)

    async def _embed(
        self, wire_format: WireFormat, request: web.Request, body: bytes, entry: LoggedRequest
    ) -> web.StreamResponse:
        try:
            entry.model, texts, answer = embeddings.respond(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RequestRejected(400, f"The request is malformed: {error!r}") from error
        entry.texts, entry.kind = tuple(texts), "embeddings"
        fault = self.faults.draw(wire_format.provider)
        if fault is not None and not _is_transport_fault(fault):
            self._undo_draw(fault)
            fault = None
        if delay := self.faults.delay(wire_format.provider):
            await asyncio.sleep(delay)
        if fault is None:
            return _response(answer, _JSON)
        entry.kind = f"fault:{fault}"
        return await self._fail(None, fault)

    async def _models(self, wire_format: WireFormat, request: web.Request) -> web.StreamResponse:
        try:
            self._authorise(wire_format, request)
        except RequestRejected as error:
            return self._failure(wire_format, error)
        names = _MODELS.get(wire_format.provider, (PROVIDERS[wire_format.provider].demo_model,))
        data = [
            {"id": name, "object": "model", "created": 1735689600, "owned_by": wire_format.provider} for name in names
        ]
        return _response(codec.dumps({"object": "list", "data": data}), _JSON)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        served = [name for name, row in PROVIDERS.items() if path.startswith(f"/{_api_base(row).split('/')[1]}/")]
        wire_format = WIRE_FORMATS[served[0] if served else "openai"]
        return self._failure(
            wire_format, RequestRejected(404, f"The simulator does not serve {request.method} {path}.")
        )


def _chat_path(provider: Provider) -> str:
    return f"{provider.simulator_path()}{provider.chat_path}"


def _api_base(provider: Provider) -> str:
    """Return the path below which the provider's API is served."""
    return _chat_path(provider).removesuffix("/chat/completions").removesuffix("/models/{target}")


def _limits(wire_format: WireFormat) -> dict[str, str]:
    return _GROQ_LIMITS if PROVIDERS[wire_format.provider].dialect == "groq" else {}


def _is_transport_fault(fault: Fault | None) -> bool:
    return isinstance(fault, int) or fault in TRANSPORT_FAULTS


def _close_connection(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    # aiohttp does not send this response, because the connection is closed.
    return web.Response()


def _response(body: bytes, kind: str, headers: dict[str, str] | None = None, status: int = 200) -> web.Response:
    identity = {"Content-Type": kind, "x-request-id": new_id("req_")}
    return web.Response(body=body, status=status, headers=identity | headers if headers else identity)
