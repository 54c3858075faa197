"""What is done with an answer that is not meant for the contact, or not whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graphs.llm_client import ModelFailure, Models
from graphs.providers import PROVIDERS
from tests.graphs.conftest import Start
from tests.graphs.conversation import NAME, assistant, interrupts, replies
from tests.graphs.provider_fakes import (
    SYSTEM,
    TOOLS,
    Server,
    answering,
    at,
    candidate,
    completion,
    each_provider,
    put,
    spec,
)

CALLS = (
    '<function=find_slots>{"days": 3}</function>',
    '<tool_call>{"name": "find_slots", "arguments": {"days": 3}}</tool_call>',
    "<|python_tag|>find_slots.call(days=3)",
    "find_slots(days=3)",
)
SILENT = assistant().handoff.model_copy(update={"message": None})
HALF = "A consulta custa R$ 1.500,00. Para pagar, faça um Pix para a chave"


def written(provider: str, text: str, finish: str = "stop") -> dict[str, Any]:
    """Return an answer in the provider's format. `finish` is `stop`, `length` or `content_filter`."""
    if PROVIDERS[provider].dialect == "gemini":
        answer = candidate({"text": text})
        reasons = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
        answer["candidates"][0]["finishReason"] = reasons[finish]
        return answer
    answer = completion(content=text)
    answer["choices"][0]["finish_reason"] = finish
    return answer


@asynccontextmanager
async def saying(provider: str, *answers: tuple[str, str]) -> AsyncIterator[tuple[Models, list[str]]]:
    """Yield clients of a server that gives these answers, the last one again and again, and the models it is asked."""
    left, models_asked = list(answers), list[str]()

    def reply(path: str, body: Any) -> tuple[int, Any]:
        models_asked.append(body.get("model") or path)
        text, finish = left.pop(0) if len(left) > 1 else left[0]
        return 200, written(provider, text, finish)

    async with answering(reply) as address, at(address) as models:
        yield models, models_asked


async def answered(models: Models, *specs: Any) -> tuple[str, bool]:
    answer = await models.answer(specs, [SYSTEM, HumanMessage("oi")], TOOLS)
    return str(answer.message.text), answer.cut


@each_provider
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_in_words_is_asked_for_again(provider: str, call: str) -> None:
    async with saying(provider, (call, "stop"), ("Temos às 9h.", "stop")) as (models, models_asked):
        assert await answered(models, spec(provider)) == ("Temos às 9h.", False)
        assert len(models_asked) == 2


@each_provider
async def test_a_model_that_only_thinks_gives_no_answer(provider: str) -> None:
    for text in ("<think>O custo é 7.", CALLS[0]):
        async with saying(provider, (text, "stop")) as (models, _):
            with pytest.raises(ModelFailure):
                await answered(models, spec(provider))


@each_provider
async def test_an_answer_at_the_limit_ends_with_a_full_sentence(provider: str) -> None:
    async with saying(provider, (HALF, "length")) as (models, models_asked):
        assert await answered(models, spec(provider)) == ("A consulta custa R$ 1.500,00.", True)
        assert len(models_asked) == 1


@each_provider
async def test_without_a_full_sentence_the_next_model_answers(provider: str) -> None:
    half, whole = ("Para pagar, faça um Pix para a chave", "length"), ("A chave é 123.", "stop")
    async with saying(provider, half, whole) as (models, models_asked):
        assert await answered(models, spec(provider), spec(provider, model="other")) == ("A chave é 123.", False)
        assert len(models_asked) == len(set(models_asked)) == 2


@each_provider
async def test_what_a_filter_has_cut_is_left_to_the_next_model(provider: str) -> None:
    async with saying(provider, (HALF, "content_filter"), ("Custa R$ 10.", "stop")) as (models, models_asked):
        assert await answered(models, spec(provider), spec(provider, model="other")) == ("Custa R$ 10.", False)
        assert len(models_asked) == len(set(models_asked)) == 2


async def test_a_cut_answer_stands_on_the_record_of_its_turn(start: Start, model_server: Server) -> None:
    await put(model_server, "scripts", scripted(f'say: "{HALF} {"a" * len(HALF)}", fail: length'))
    state = await start().say("quanto custa?")
    assert replies(state) == [("assistant", "A consulta custa R$ 1.500,00.")]
    assert "cut" in state["turn"]["problem"]


async def test_a_reply_is_whatsapps_and_the_tenants_texts_stay(start: Start, model_server: Server) -> None:
    await put(model_server, "scripts", scripted('say: "<think>hm</think>**Oi**, [site](https://a.com/b_c)"'))
    state = await start().say("quanto custa?")
    assert replies(state) == [("assistant", "*Oi*, site (https://a.com/b_c)")]
    closing = start(lifecycle=replace(assistant().lifecycle, goodbye="**Até logo** [operator]"))
    assert replies(await closing.idle()) == [("assistant", "**Até logo** [operator]")]


@pytest.mark.parametrize("calls", [1, 2])
async def test_words_beside_a_call_for_a_human_are_said_once(start: Start, model_server: Server, calls: int) -> None:
    call = "{name: request_human, arguments: {reason: pediu}}"
    await put(model_server, "scripts", scripted(f'say: "**Claro**, chamo já.", call: [{", ".join([call] * calls)}]'))
    state = await start(handoff=SILENT).say("quanto custa?")
    assert replies(state) == [("assistant", "*Claro*, chamo já.")]
    (waiting,) = interrupts(state)
    assert waiting["message"] is None


@pytest.mark.parametrize(
    ("language", "word"), [("pt-BR", "equipe"), ("es", "equipo"), ("en-US", "team"), ("de", "team")]
)
async def test_a_silent_handoff_speaks_the_assistants_language(start: Start, language: str, word: str) -> None:
    state = await start(handoff=SILENT, language=language).say("socorro")
    (waiting,) = interrupts(state)
    assert word in waiting["message"]


async def test_a_handoffs_text_follows_the_models_words(start: Start, model_server: Server) -> None:
    await put(
        model_server, "scripts", scripted('say: "Claro.", call: {name: request_human, arguments: {reason: pediu}}')
    )
    state = await start().say("quanto custa?")
    assert replies(state) == [("assistant", "Claro.")]
    assert interrupts(state)[0]["message"] == "Vou chamar uma pessoa."


def scripted(rule: str) -> str:
    """Return a script, in place of the tests' own, in which every agent answers by this rule."""
    router = '{when: {structured: true}, json: {to: agenda, why: "x"}}'
    return f"name: grafos\nmatch: {NAME}\nrules:\n  - {router}\n  - {{{rule}}}\n"
