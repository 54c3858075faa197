"""Calls to models, through the real clients, at servers that misbehave in every way that providers do."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from app.config import ModelProvider
from graphs.llm_client import LONGEST_WAIT, MOST_CLIENTS, TRIES, ModelFailure, Models, Toolbox
from graphs.providers import PROVIDERS
from graphs.sections import ModelSpec
from tests.graphs.conversation import NAME
from tests.graphs.provider_fakes import (
    KEY,
    SYSTEM,
    TOOLS,
    RecordedSleeps,
    Server,
    answering,
    asked,
    at,
    called,
    candidate,
    completion,
    each_provider,
    put,
    spec,
)
from tests.platform import Log

FINAL: dict[int | str, int] = {400: 1, 401: 1, 402: 1, 403: 1, 404: 1, 413: 1, 422: 1}
PASSING: dict[int | str, int] = {
    408: TRIES,
    429: TRIES,
    500: TRIES,
    503: TRIES,
    "timeout": TRIES,
    "drop": TRIES,
    "garbage": TRIES,
    "empty": TRIES,
}
RULES = "".join(f'  - {{when: {{user: "^fault {fault}$"}}, fail: {fault}}}\n' for fault in [*FINAL, *PASSING])
SCRIPT = f"""
name: falhas
match: {NAME}
rules:
{RULES}
  - {{when: {{user: "^half a call$"}}, call: {{name: find_slots, arguments: {{days: 3}}}}, fail: bad_args}}
  - {{when: {{user: "^too long a call$"}}, call: {{name: find_slots, arguments: {{days: 3}}}}, fail: length}}
  - {{when: {{user: "^refuse me$"}}, say: "não posso", fail: refuse}}
  - {{when: {{user: "^once$"}}, fail: 500, times: 1}}
  - {{when: {{user: "^a call$"}}, say: "vejo", call: {{name: find_slots, arguments: {{days: 3}}}}}}
  - {{when: {{structured: true}}, json: {{to: agenda}}}}
  - say: "eco: {{{{ user }}}}"
"""


@pytest.fixture
def naps() -> RecordedSleeps:
    """The waits between the tries."""
    return RecordedSleeps()


@pytest.fixture
async def model(model_server: Server, naps: RecordedSleeps) -> AsyncIterator[Models]:
    """Clients of all providers, at the simulator."""
    await put(model_server, "reset", {})
    await put(model_server, "scripts", SCRIPT)
    async with at(model_server[1], sleep=naps) as models:
        yield models


async def failure(models: Models, of: ModelSpec, text: str, toolbox: Toolbox = TOOLS) -> ModelFailure:
    """What the call fails with."""
    with pytest.raises(ModelFailure) as raised:
        await models.answer([of], [SYSTEM, HumanMessage(text)], toolbox)
    return raised.value


@each_provider
async def test_every_fault_is_retried_within_bounds_or_final(
    provider: str, model: Models, model_server: Server, log: Log
) -> None:
    expected = FINAL | PASSING
    faults = list(expected)
    # Only the fault that takes for ever may meet the time limit, however busy the machine is.
    limits = [0.5 if fault == "timeout" else 20.0 for fault in faults]
    calls = [failure(model, spec(provider, s), f"fault {fault}") for fault, s in zip(faults, limits, strict=True)]
    failures = dict(zip(faults, await asyncio.gather(*calls), strict=True))
    texts = [request["messages"][-1]["text"] for request in await asked(model_server)]
    assert {fault: texts.count(f"fault {fault}") for fault in faults} == expected
    assert {fault for fault, error in failures.items() if error.retryable} == set(PASSING)
    assert not [error for error in failures.values() if KEY in f"{error!r} {error}"]
    assert KEY not in log.text


@each_provider
async def test_a_call_that_is_cut_in_half_is_no_answer(provider: str, model: Models) -> None:
    error = await failure(model, spec(provider), "half a call")
    assert error.retryable


@each_provider
async def test_a_fault_that_passes_is_not_noticed(provider: str, model: Models) -> None:
    answer = await model.answer([spec(provider)], [SYSTEM, HumanMessage("once")], TOOLS)
    assert answer.message.text == "eco: once"


@each_provider
async def test_the_wait_that_a_provider_asks_for_is_kept(
    provider: str, model: Models, model_server: Server, naps: RecordedSleeps
) -> None:
    await put(model_server, "faults", {"p_429": 1, "count": 1, "retry_after_s": 7})
    answer = await model.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], TOOLS)
    assert answer.message.text == "eco: oi"
    assert naps.taken == [pytest.approx(7, abs=0.5)]


@each_provider
async def test_the_waits_grow_and_end(provider: str, model: Models, model_server: Server, naps: RecordedSleeps) -> None:
    await failure(model, spec(provider), "fault 500")
    first, second = naps.taken
    assert 0.2 < first < 0.7
    assert first < second < 1.3
    await put(model_server, "faults", {"p_429": 1, "retry_after_s": 86_400})
    await failure(model, spec(provider), "oi")
    assert max(naps.taken) <= LONGEST_WAIT


@each_provider
async def test_a_call_that_is_cut_at_the_limit_is_not_asked_for_again(
    provider: str, model: Models, model_server: Server
) -> None:
    error = await failure(model, spec(provider), "too long a call")
    assert (str(error), error.retryable) == ("the answer was cut before any text", False)
    assert len(await asked(model_server)) == 1


@pytest.mark.parametrize("provider", ["openai", "google"])
async def test_a_refusal_is_not_asked_for_again(provider: str, model: Models, model_server: Server) -> None:
    error = await failure(model, spec(provider), "refuse me")
    assert (str(error), error.retryable) == ("the provider blocked the answer", False)
    assert len(await asked(model_server)) == 1


@each_provider
async def test_an_answer_is_reduced_to_what_the_next_call_needs(provider: str, model: Models) -> None:
    answer = await model.answer([spec(provider)], [SYSTEM, HumanMessage("a call")], TOOLS)
    (call,) = answer.message.tool_calls
    assert (call["name"], call["args"]) == ("find_slots", {"days": 3})
    assert call["id"]
    assert answer.message.text == "vejo"
    assert answer.message.response_metadata == {}
    assert answer.message.usage_metadata is None
    assert "tool_calls" not in answer.message.additional_kwargs
    assert answer.usage["model"] == f"{provider}/test-model"
    assert answer.usage["input_tokens"]
    assert answer.usage["output_tokens"]


@each_provider
async def test_a_forced_tool_is_called(provider: str, model: Models) -> None:
    parameters = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    function = {"name": "route", "description": "Says who answers.", "parameters": parameters}
    forced = Toolbox([{"type": "function", "function": function}], forced="route")
    answer = await model.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], forced)
    assert [(call["name"], call["args"]) for call in answer.message.tool_calls] == [("route", {"to": "agenda"})]


@each_provider
@pytest.mark.parametrize("before", PROVIDERS)
async def test_a_history_of_one_provider_is_taken_by_another(before: str, provider: str, model: Models) -> None:
    asked_first = [SYSTEM, HumanMessage("a call")]
    called = (await model.answer([spec(before)], asked_first, TOOLS)).message
    results = [ToolMessage("{}", tool_call_id=str(call["id"]), name=call["name"]) for call in called.tool_calls]
    history = [*asked_first, called, *results, AIMessage("[operator] oi"), HumanMessage("obrigado")]
    answer = await model.answer([spec(provider)], history, TOOLS)
    assert answer.message.text == "eco: obrigado"


@each_provider
async def test_nobody_there_is_a_fault_that_may_pass(provider: str) -> None:
    models = Models({provider: ModelProvider(KEY, "http://127.0.0.1:1/v1")}, sleep=RecordedSleeps())
    error = await failure(models, spec(provider), "oi")
    await models.close()
    assert error.retryable
    assert KEY not in f"{error!r} {error}"


@each_provider
async def test_an_answer_that_drips_in_is_a_timeout(provider: str) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with at(f"http://{host}:{port}") as models:
            error = await failure(models, spec(provider, 0.2), "oi")
    assert (error.kind, error.retryable) == ("timeout", True)


@each_provider
async def test_a_provider_without_a_key_says_which_one_to_set(provider: str) -> None:
    models = Models({})
    error = await failure(models, spec(provider), "oi")
    assert (str(error), error.retryable) == (f"no key for {provider}: set {PROVIDERS[provider].key_variable}", False)


async def test_clients_are_kept_and_close_with_their_models(model: Models) -> None:
    """Another worker's engine in the same process must not find the connections closed."""
    others = Models(model.access)
    for provider in PROVIDERS:
        for models in (model, others):
            await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], TOOLS)
    await others.close()
    for provider in PROVIDERS:
        answer = await model.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], TOOLS)
        assert answer.message.text == "eco: oi"


@each_provider
async def test_without_a_url_a_client_calls_its_provider(provider: str) -> None:
    """Also one whose wire format, and so whose client, is another provider's."""
    models = Models({provider: ModelProvider(KEY, None)})
    client = models._client(spec(provider))
    urls = {getattr(client, name, None) for name in ("openai_api_base", "groq_api_base", "base_url")}
    await models.close()
    assert urls - {None} == {PROVIDERS[provider].default_url}


@each_provider
async def test_the_clients_of_a_provider_share_connections(provider: str) -> None:
    """There is one for each setting of each tenant. They keep their own time limits."""
    peers, bodies = set[object](), list[dict[str, Any]]()
    text = candidate({"text": "olá"}) if PROVIDERS[provider].dialect == "gemini" else completion(content="olá")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
                bodies.append(json.loads(await reader.readexactly(int(length))))
                if len(bodies) > 3:
                    await reader.read()
                    return
                body = json.dumps(text).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n%s" % (len(body), body))

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with at(f"http://{host}:{port}") as models:
            for temperature in (None, 0.5, 1.0):
                setting = spec(provider).model_copy(update={"temperature": temperature})
                assert (await models.answer([setting], [SYSTEM, HumanMessage("oi")], TOOLS)).message.text == "olá"
            assert len(peers) == 1
            assert sorted(json.dumps(body).count("0.5") for body in bodies) == [0, 0, 1]
            with pytest.raises(ModelFailure) as raised:
                await models.answer([spec(provider, 0.1)], [SYSTEM, HumanMessage("oi")], Toolbox())
    assert raised.value.kind == "timeout"


async def test_the_least_used_clients_are_dropped() -> None:
    async with answering(lambda path, body: (200, completion(content="olá"))) as address, at(address) as models:
        settings = [spec("openai", model=f"m{number}") for number in range(MOST_CLIENTS + 2)]
        for setting in settings:
            models._client(setting)
        answers = [await models.answer([setting], [HumanMessage("oi")], Toolbox()) for setting in settings[:2]]
    assert [answer.usage["model"] for answer in answers] == ["openai/m0", "openai/m1"]


# Answers that no client expects. Each must come out as a ModelFailure, or as an answer that can be kept.


CHAT: Mapping[str, Any] = {
    "arguments that are a list": called("[1]"),
    "arguments that are a text": called('"a"'),
    "arguments that are a number": called("5"),
    "arguments without an end": called(json.dumps({"note": "a" * 70_000})),
    "a call without an id": called("{}", identity=None),
    "a call without a name": called("{}", name=None),
    "no choice": {**completion(), "choices": []},
    "null for choices": {**completion(), "choices": None},
    "null for the message": {**completion(), "choices": [{"index": 0, "finish_reason": "stop", "message": None}]},
    "an error with status 200": {"error": {"message": "boom", "code": 500}},
    "a list": [1],
    "null": None,
    "a text": "hi",
    "only blanks": completion(content=" \n "),
}
GEMINI: Mapping[str, Any] = {
    "arguments that are a list": candidate({"functionCall": {"name": "find_slots", "args": [1]}}),
    "arguments without an end": candidate({"functionCall": {"name": "find_slots", "args": {"note": "a" * 70_000}}}),
    "a call without a name": candidate({"functionCall": {"args": {}}}),
    "a number for text": candidate({"text": 5}),
    "only thoughts": candidate({"text": "hm", "thought": True}),
    "no candidate": {"candidates": []},
    "a blocked prompt": {"promptFeedback": {"blockReason": "SAFETY"}},
    "a list": [1],
    "null": None,
    "a text": "hi",
}
ODD = [(name, GEMINI if provider.dialect == "gemini" else CHAT) for name, provider in PROVIDERS.items()]


@pytest.fixture
async def odd_server() -> AsyncIterator[Callable[[str, str], Models]]:
    """A provider that answers with whatever its address names."""
    bodies = {(provider, case): body for provider, cases in ODD for case, body in cases.items()}
    text = "ol\u00e1\x00 \ud800!"
    for name, provider in PROVIDERS.items():
        bodies[name, "odd text"] = (
            candidate({"text": text}) if provider.dialect == "gemini" else completion(content=text)
        )

    def reply(path: str, _: Any) -> tuple[int, Any]:
        provider, case = path.split("/")[1:3]
        return 200, bodies[provider, case]

    async with answering(reply) as address:

        def models(provider: str, case: str) -> Models:
            base = f"{address}/{provider}/{case}{PROVIDERS[provider].simulator_path()}"
            return Models({provider: ModelProvider(KEY, base)}, sleep=RecordedSleeps())

        yield models


@pytest.mark.parametrize(("provider", "cases"), ODD)
async def test_an_answer_that_is_none_is_a_model_failure(
    provider: str, cases: Mapping[str, Any], odd_server: Callable[[str, str], Models]
) -> None:
    async def outcome(case: str) -> str:
        models = odd_server(provider, case)
        try:
            await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], TOOLS)
        except Exception as error:
            return type(error).__name__
        finally:
            await models.close()
        return "an answer"

    outcomes = dict(zip(cases, await asyncio.gather(*map(outcome, cases)), strict=True))
    assert {case: found for case, found in outcomes.items() if found != "ModelFailure"} == {}


@each_provider
async def test_unstorable_answers_are_cleaned_or_refused(
    provider: str, odd_server: Callable[[str, str], Models]
) -> None:
    """NUL and halves of surrogate pairs: stored as they are, they would undo the turn at every commit."""
    models = odd_server(provider, "odd text")
    try:
        text = str((await models.answer([spec(provider)], [SYSTEM, HumanMessage("oi")], TOOLS)).message.text)
    except ModelFailure:
        text = ""
    finally:
        await models.close()
    assert "\x00" not in text
    assert text.encode(errors="replace").decode() == text


# What providers say in the body of an error: the status, what they say; then whether and when to ask again.

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
SAID: Mapping[str, tuple[str, int, Any, bool, float | None]] = {
    "a quota that is used up": ("openai", 429, {"code": "insufficient_quota", "message": "x"}, False, None),
    "another provider's code": ("groq", 429, {"code": "insufficient_quota", "message": "x"}, True, None),
    "a call that the model wrote badly": ("groq", 400, {"code": "tool_use_failed", "message": "x"}, True, None),
    "a wait in the details": ("google", 429, {"code": 429, "message": "x", "details": [RETRY_INFO]}, True, 17.0),
    "odd details": ("google", 429, {"code": 429, "message": "x", "details": ["soon"]}, True, None),
    "too many tokens": ("openai", 400, {"code": "context_length_exceeded", "message": "x"}, False, None),
    "nothing": ("groq", 503, None, True, None),
}


@pytest.mark.parametrize("case", SAID)
async def test_the_error_decides_whether_and_when_to_retry(case: str) -> None:
    provider, status, body, retryable, retry_after = SAID[case]
    async with answering(lambda *_: (status, {"error": body})) as address, at(address) as models:
        error = await failure(models, spec(provider), "oi")
    assert (error.retryable, error.retry_after) == (retryable, retry_after)
