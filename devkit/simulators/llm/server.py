"""The endpoints of the providers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from devkit.simulators.llm import codec, embeddings
from devkit.simulators.llm.chat import BREAKING, Answer, Chat, Fault, Rejected, Wire, unique
from devkit.simulators.llm.faults import Faults, Plan
from devkit.simulators.llm.gemini_wire import GeminiWire
from devkit.simulators.llm.journal import ABANDONED, DROPPED, Entry, Journal
from devkit.simulators.llm.openai_wire import OpenAIWire
from devkit.simulators.llm.script import Library, Rule
from devkit.simulators.llm.turn import Turn
from graphs.providers import PROVIDERS, Provider

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Answering = Callable[[Wire, web.Request, bytes, Entry], Awaitable[web.StreamResponse]]


def make_wire(provider: Provider) -> Wire:
    """Return the wire format of a provider's API."""
    if provider.dialect == "gemini":
        return GeminiWire(provider.name)
    return OpenAIWire(provider.name, groq=provider.dialect == "groq")


WIRES: Mapping[str, Wire] = {name: make_wire(provider) for name, provider in PROVIDERS.items()}

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
class Options:
    latency_ms: float = 0.0
    key: str = ""
    log: bool = True


class _Dropped(Exception):
    """The connection ends without an answer."""


class Simulator:
    """The state all requests share."""

    def __init__(self, library: Library, options: Options) -> None:
        self.library = library
        self.options = options
        self.journal = Journal(options.log)
        self.faults = Faults(Plan(latency_ms=options.latency_ms))

    def reset(self) -> None:
        self.library.reset()
        self.journal.reset()
        self.faults = Faults(Plan(latency_ms=self.options.latency_ms))

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        routes = application.router
        for name, wire in WIRES.items():
            base = _api_base(PROVIDERS[name])
            routes.add_post(_chat_path(PROVIDERS[name]), self._handler(wire, self._complete))
            if PROVIDERS[name].dialect != "gemini":
                routes.add_get(f"{base}/models", partial(self._models, wire))
        routes.add_post("/v1/embeddings", self._handler(WIRES["openai"], self._embed))
        routes.add_route("*", "/{path:.*}", self._unknown)
        return application

    def _handler(self, wire: Wire, answer: Answering) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            entry = self.journal.begin(wire.provider, wire, body)
            status = ABANDONED
            try:
                self._authorise(wire, request)
                response = await answer(wire, request, body, entry)
                status = response.status
            except _Dropped:
                status = DROPPED
                response = _hung_up(request)
            except Rejected as error:
                status = error.status
                entry.kind, entry.error = "error", error.message
                response = self._failure(wire, error)
            finally:
                self.journal.end(entry, status)
            return response

        return handle

    def _authorise(self, wire: Wire, request: web.Request) -> None:
        if isinstance(wire, GeminiWire):
            given = request.headers.get("x-goog-api-key") or request.query.get("key", "")
        else:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            given = given.strip() if scheme.lower() == "bearer" else ""
        if not given:
            raise Rejected(401, "You didn't provide an API key.")
        if self.options.key and given != self.options.key:
            raise Rejected(401, "Incorrect API key provided.")

    async def _complete(self, wire: Wire, request: web.Request, body: bytes, entry: Entry) -> web.StreamResponse:
        chat = self._read(wire, request, body)
        entry.model, entry.tools, entry.structured = chat.model, tuple(chat.tools), chat.structured
        turn = Turn(chat)
        script = self.library.find(turn.system)
        entry.script = script.name
        fault = self.faults.draw(wire.provider)
        delay = self.faults.delay(wire.provider)
        answer = Answer()
        if fault is None or not _breaks(fault):
            entry.rule, rule, found = script.choose(turn)
            delay += rule.delay
            if _breaks(rule.fail):
                self._refund(fault)
                fault = rule.fail
            else:
                answer = script.answer(turn, rule, found)
                fault = self._spoil(answer, fault, rule)
                entry.answer = answer
        if delay:
            await asyncio.sleep(delay)
        if fault is not None:
            entry.kind = f"fault:{fault}"
        if _breaks(fault):
            return await self._break(chat, fault)
        return self._deliver(wire, request, chat, answer)

    def _read(self, wire: Wire, request: web.Request, body: bytes) -> Chat:
        target = request.match_info.get("target", "")
        if isinstance(wire, GeminiWire) and not target.endswith((":generateContent", ":streamGenerateContent")):
            raise Rejected(404, f"The method {target} does not exist.")
        try:
            return wire.read(body, target)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Rejected(400, f"The request is malformed: {error!r}") from error

    def _spoil(self, answer: Answer, fault: Fault | None, rule: Rule) -> Fault | None:
        """Damage the answer as the plan asks; the fault that shows in the end."""
        if fault is None:
            return rule.fail
        if answer.spoil(fault):
            return fault
        self._refund(fault)
        return rule.fail

    def _refund(self, fault: Fault | None) -> None:
        if fault is not None:
            self.faults.give_back()

    async def _break(self, chat: Chat | None, fault: Fault | None) -> web.StreamResponse:
        if isinstance(fault, int):
            raise Rejected(fault, _MESSAGES.get(fault, f"Simulated failure {fault}."))
        if fault == "garbage":
            stream = chat is not None and chat.stream
            body = b'data: {"id": "broken", "choi\n\n' if stream else b'{"id": "broken", "choi'
            return _response(body, _SSE if stream else _JSON)
        if fault == "timeout":
            await asyncio.sleep(self.faults.plan.hang_s)
        raise _Dropped

    def _deliver(self, wire: Wire, request: web.Request, chat: Chat, answer: Answer) -> web.StreamResponse:
        limits = _limits(wire)
        if not chat.stream:
            return _response(wire.reply(chat, answer), _JSON, limits)
        if isinstance(wire, GeminiWire) and request.query.get("alt") != "sse":
            return _response(wire.array(chat, answer), _JSON)
        return _response(wire.events(chat, answer), _SSE, limits)

    def _failure(self, wire: Wire, error: Rejected) -> web.Response:
        headers = _limits(wire)
        if error.status == 429:
            headers = {**headers, "retry-after": f"{self.faults.plan.retry_after_s:g}"}
        return _response(wire.error(error), _JSON, headers, error.status)

    async def _embed(self, wire: Wire, request: web.Request, body: bytes, entry: Entry) -> web.StreamResponse:
        try:
            entry.model, texts, answer = embeddings.respond(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Rejected(400, f"The request is malformed: {error!r}") from error
        entry.texts, entry.kind = tuple(texts), "embeddings"
        fault = self.faults.draw(wire.provider)
        if fault is not None and not _breaks(fault):
            self._refund(fault)
            fault = None
        if delay := self.faults.delay(wire.provider):
            await asyncio.sleep(delay)
        if fault is None:
            return _response(answer, _JSON)
        entry.kind = f"fault:{fault}"
        return await self._break(None, fault)

    async def _models(self, wire: Wire, request: web.Request) -> web.StreamResponse:
        try:
            self._authorise(wire, request)
        except Rejected as error:
            return self._failure(wire, error)
        names = _MODELS.get(wire.provider, (PROVIDERS[wire.provider].demo_model,))
        data = [{"id": name, "object": "model", "created": 1735689600, "owned_by": wire.provider} for name in names]
        return _response(codec.dumps({"object": "list", "data": data}), _JSON)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        served = [name for name, row in PROVIDERS.items() if path.startswith(f"/{_api_base(row).split('/')[1]}/")]
        wire = WIRES[served[0] if served else "openai"]
        return self._failure(wire, Rejected(404, f"The simulator does not serve {request.method} {path}."))


def _chat_path(provider: Provider) -> str:
    return f"{provider.simulator_path()}{provider.chat_path}"


def _api_base(provider: Provider) -> str:
    """Return the path below which the provider's API is served."""
    return _chat_path(provider).removesuffix("/chat/completions").removesuffix("/models/{target}")


def _limits(wire: Wire) -> dict[str, str]:
    return _GROQ_LIMITS if PROVIDERS[wire.provider].dialect == "groq" else {}


def _breaks(fault: Fault | None) -> bool:
    return isinstance(fault, int) or fault in BREAKING


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    # Never sent: aiohttp finds the connection closed when it tries.
    return web.Response()


def _response(body: bytes, kind: str, headers: dict[str, str] | None = None, status: int = 200) -> web.Response:
    identity = {"Content-Type": kind, "x-request-id": unique("req_")}
    return web.Response(body=body, status=status, headers=identity | headers if headers else identity)
