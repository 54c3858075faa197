"""Histories that one provider's model wrote, or that are not whole, sent to another."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from graphs.history import LOST, SIGNATURES, adapt
from graphs.llm_client import Models, Toolbox
from graphs.nodes.call_model import with_fresh_ids
from graphs.providers import PROVIDERS
from tests.graphs.conversation import NAME
from tests.graphs.provider_fakes import (
    COMPLETIONS,
    SYSTEM,
    TOOLS,
    Server,
    answering,
    at,
    called,
    candidate,
    completion,
    each_provider,
    provider_of,
    put,
    spec,
)
from tests.platform import SimulatorUrls

SCRIPT = f"""
name: histórias
match: {NAME}
rules:
  - say: "eco: {{{{ user }}}}"
"""
HUMAN = HumanMessage("oi")


@pytest.fixture(scope="module")
async def clients(simulators: SimulatorUrls) -> AsyncIterator[Models]:
    """Clients of all providers, at the simulator: they take long to build."""
    async with at(simulators.model) as models:
        yield models


@pytest.fixture
async def model(clients: Models, model_server: Server) -> Models:
    """The clients, and a simulator that repeats what it hears."""
    await put(model_server, "reset", {})
    await put(model_server, "scripts", SCRIPT)
    return clients


def calling(*ids: str, text: str = "") -> AIMessage:
    calls = [{"name": "find_slots", "args": {"days": 3}, "id": identity} for identity in ids]
    return AIMessage(text, tool_calls=calls)


def named(name: str, arguments: dict[str, Any] | None = None) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments or {}, "id": "a"}])


BROKEN: Any = {"name": "find_slots", "args": "{", "id": "a", "error": "no JSON", "type": "invalid_tool_call"}


def result(identity: str) -> ToolMessage:
    return ToolMessage("{}", tool_call_id=identity, name="find_slots")


ODD: dict[str, list[BaseMessage]] = {
    "a call without a result": [HUMAN, calling("a"), HUMAN],
    "one result of two": [HUMAN, calling("a", "b"), result("b"), HUMAN],
    "a result that comes late": [HUMAN, calling("a"), HUMAN, result("a"), AIMessage("ok"), HUMAN],
    "a result of nothing": [HUMAN, result("a"), AIMessage("ok"), HUMAN],
    "two results of one call": [HUMAN, calling("a"), result("a"), result("a"), HUMAN],
    "calls of the same id": [HUMAN, calling("a"), result("a"), HUMAN, calling("a"), result("a"), HUMAN],
    "a call at the end": [HUMAN, calling("a")],
    "the assistant speaks first": [AIMessage("[operator] olá"), HUMAN],
    "the assistant calls first": [calling("a"), result("a"), HUMAN],
    "words, and then a call": [HUMAN, AIMessage("[operator] olá"), calling("a", text="vejo"), result("a"), HUMAN],
    "the assistant speaks last": [HUMAN, AIMessage("[operator] olá")],
    "somebody says nothing": [HumanMessage(""), AIMessage("oi"), HumanMessage(" ")],
    "nothing but instructions": [],
    "instructions in the middle": [HUMAN, AIMessage("oi"), SystemMessage("Agora é tarde."), HUMAN],
    "an id that is too long": [HUMAN, calling("a" * 60), result("a" * 60), HUMAN],
    "words twice, and then a call": [
        HUMAN,
        AIMessage("[operator] olá"),
        AIMessage("[operator] já"),
        calling("a"),
        result("a"),
    ],
    "a name that no provider accepts": [HUMAN, named("functions.request_human"), result("a"), HUMAN],
    "a name with a mark of the template": [HUMAN, named("request_human<|channel|>commentary"), result("a"), HUMAN],
    "a name with a blank": [HUMAN, named("buscar produto"), result("a"), HUMAN],
    "a name that is too long": [HUMAN, named("a" * 300), result("a"), HUMAN],
    "two calls of the same id at once": [HUMAN, calling("a", "a"), result("a"), result("a"), HUMAN],
    "calls that were not valid": [HUMAN, AIMessage("vejo", invalid_tool_calls=[BROKEN]), HUMAN],
    "a number that JSON cannot say": [HUMAN, named("find_slots", {"days": float("nan")}), result("a"), HUMAN],
    "a result that JSON cannot say": [HUMAN, calling("a"), ToolMessage('{"a": NaN}', tool_call_id="a"), HUMAN],
    "a result without text": [HUMAN, calling("a"), ToolMessage("", tool_call_id="a"), HUMAN],
    "contents that are lists": [HumanMessage(["oi", {"type": "text", "text": ""}]), AIMessage([]), HumanMessage([])],
    "a speaker with a name": [HumanMessage("oi", name="Ana Maria"), AIMessage("olá", name="Bia <1>"), HUMAN],
    "instructions without text": [SystemMessage(""), HUMAN, SystemMessage([])],
    "many short turns of the same side": [HUMAN, HUMAN, AIMessage("a"), AIMessage("b"), HUMAN],
}


@each_provider
@pytest.mark.parametrize("case", ODD)
async def test_an_incomplete_history_is_completed_in_a_copy(case: str, provider: str, model: Models) -> None:
    history = [SYSTEM, *ODD[case]]
    before = [message.model_copy(deep=True) for message in history]
    answer = await model.answer([spec(provider)], history, TOOLS)
    assert answer.message.text or answer.message.tool_calls
    assert history == before


@each_provider
def test_a_history_that_fits_is_sent_as_it_is(provider: str) -> None:
    history = [SYSTEM, HUMAN, calling("a", "b", text="vejo"), result("a"), result("b"), AIMessage("oi"), HUMAN]
    assert adapt(history, spec(provider)) is history


def test_a_lost_result_is_named_as_lost_right_behind_its_call() -> None:
    sent = adapt([SYSTEM, HUMAN, calling("a", "b"), HUMAN, result("b")], spec("openai"))
    assert [message.text for message in sent] == [NAME, "oi", "", LOST, "{}", "oi"]


def test_the_result_of_a_call_is_not_taken_for_another_one() -> None:
    late = ToolMessage("tarde", tool_call_id="a")
    history = [SYSTEM, late, calling("a"), HUMAN, calling("a"), late, HUMAN]
    sent = adapt(history, spec("openai"))
    assert [message.text for message in sent] == [NAME, "", LOST, "oi", "", "tarde", "oi"]
    first, second = (message.tool_calls[0]["id"] for message in sent if isinstance(message, AIMessage))
    assert first != second


def test_a_name_is_mended_alike_in_call_and_result() -> None:
    history = [SYSTEM, HUMAN, named("buscar produto"), ToolMessage("x", tool_call_id="a", name="buscar produto"), HUMAN]
    for provider in PROVIDERS:
        sent = adapt(history, spec(provider))
        assert isinstance(sent[2], AIMessage)
        assert (sent[2].tool_calls[0]["name"], sent[3].name) == ("buscar_produto", "buscar_produto")


def test_words_before_a_call_stay_with_it_for_gemini() -> None:
    signed: list[Any] = [{"type": "text", "text": "vejo", "extras": {"signature": "s"}}]
    call = calling("a").model_copy(update={"content": signed, "response_metadata": {"model": "google/test-model"}})
    for after in (calling("a", text="vejo"), call):
        sent = adapt([SYSTEM, HUMAN, AIMessage("olá"), after, result("a"), HUMAN], spec("google"))
        assert [message.type for message in sent] == ["system", "human", "ai", "tool", "human"]
        assert sent[2].text.replace("\n", "") == "olávejo"


def test_refused_ids_change_in_call_and_result_alike() -> None:
    history = [SYSTEM, HUMAN, calling("ok", "weird id/" * 9), result("ok"), result("weird id/" * 9), HUMAN]
    sent = adapt(history, spec("groq"))
    assert isinstance(sent[2], AIMessage)
    ids = [call["id"] for call in sent[2].tool_calls]
    assert ids == [message.tool_call_id for message in sent if isinstance(message, ToolMessage)]
    assert ids[0] == "ok"
    assert len(str(ids[1])) <= 40
    assert adapt(history, spec("openai")) == sent
    assert adapt(history, spec("google")) is history


THOUGHT = "c2lnbmF0dXJl"


async def test_gemini_signatures_return_to_their_model_only() -> None:
    bodies: dict[str, Any] = {}

    def reply(path: str, body: Any) -> tuple[int, Any]:
        bodies[path.split("/")[-1]] = body
        if provider_of(path) != "google":
            return 200, completion(content="ok")
        if len(body["contents"]) > 1:
            return 200, candidate({"text": "ok"})
        call = {"functionCall": {"name": "find_slots", "args": {"days": 3}}, "thoughtSignature": THOUGHT}
        answer = candidate({"text": "vejo", "thoughtSignature": THOUGHT}, call)
        return 200, {**answer, "modelVersion": "gemini-3-pro"}

    writer, other = spec("google", model="gemini-3-pro"), spec("google", model="gemini-2.5-flash")
    async with answering(reply) as address, at(address) as models:
        said = (await models.answer([writer], [SYSTEM, HUMAN], TOOLS)).message
        said = with_fresh_ids(said, [calling(str(said.tool_calls[0]["id"]))])
        history = [SYSTEM, HUMAN, said, result(str(said.tool_calls[0]["id"])), HUMAN]
        for reader in (writer, other):
            await models.answer([reader], history, TOOLS)
        for provider in COMPLETIONS:
            bodies.pop("completions", None)
            await models.answer([spec(provider)], history, TOOLS)
            written = bodies["completions"]["messages"][2]
            assert written["content"] in ("vejo", [{"type": "text", "text": "vejo"}])
            assert set(written) == {"role", "content", "tool_calls"}
    assert set(said.additional_kwargs) == {SIGNATURES}
    assert [bool(part.get("thoughtSignature")) for part in spoken_parts(bodies, writer.model)] == [True, True]
    assert [part["thoughtSignature"] for part in spoken_parts(bodies, writer.model)] == [THOUGHT, THOUGHT]
    assert [part.get("thoughtSignature") for part in spoken_parts(bodies, other.model)] == [None, None]


def spoken_parts(bodies: dict[str, Any], model: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = bodies[f"{model}:generateContent"]["contents"][1]["parts"]
    return parts


@pytest.mark.parametrize("provider", COMPLETIONS)
async def test_the_request_carries_messages_and_tools_as_they_are(provider: str) -> None:
    bodies: list[Any] = []

    def reply(_: str, body: Any) -> tuple[int, Any]:
        bodies.append(body)
        return 200, called('{"days": 3}')

    async with answering(reply) as address, at(address) as models:
        history = [SYSTEM, HUMAN, calling("a"), result("a"), HUMAN]
        answer = await models.answer([spec(provider)], history, Toolbox(TOOLS.declarations, forced="find_slots"))
    (body,) = bodies
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert [tool["function"]["name"] for tool in body["tools"]] == [t["function"]["name"] for t in TOOLS.declarations]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "find_slots"}}
    assert body["model"] == "test-model"
    assert "extra_body" not in body
    assert answer.message.tool_calls[0]["args"] == {"days": 3}


@pytest.mark.parametrize("provider", COMPLETIONS)
async def test_a_servers_long_ids_and_texts_are_bounded(provider: str) -> None:
    """An id becomes a key in Postgres, which takes no more than 2,700 bytes."""
    long = called('{"days": 3}', identity="a" * 4_000)
    bodies = [{**long, "id": "x" * 4_000}, completion(content="fim " * 20_000)]

    async with answering(lambda *_: (200, bodies.pop(0))) as address, at(address) as models:
        calls = (await models.answer([spec(provider)], [SYSTEM, HUMAN], TOOLS)).message
        text = (await models.answer([spec(provider)], [SYSTEM, HUMAN], TOOLS)).message
    assert len(str(calls.tool_calls[0]["id"])) <= 64
    assert len(str(calls.id)) <= 64
    assert len(str(text.content)) == 32_000
