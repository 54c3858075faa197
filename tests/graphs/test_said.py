"""What a contact reads of a model's answer, and what operators read of a turn that could not be finished."""

from dataclasses import replace
from typing import Any

import pytest

from graphs.sections import Handoff, Limits
from tests.graphs.conftest import Start
from tests.graphs.conversation import NAME, GraphConversation, assistant, interrupts, replies
from tests.graphs.shop_tools import ShopTools

SCRIPT = """
name: grafos
match: NAME
rules:
  - {when: {structured: true}, json: {to: duvidas, why: x}}
  - {when: {user: "^pense$"}, say: "<think>custo interno 7</think>Custa **R$ 10**."}
  - {when: {user: "^só pense$"}, say: "<think>custo interno 7", times: 1}
  - {when: {user: "^rotule$"}, say: "[operator] Seu pedido sai hoje."}
  - {when: {user: "^chame$"}, say: '<function=find_slots>{"days": 3}</function>', times: 1}
  - {when: {user: "^chame sempre$"}, say: "find_slots(days=3)"}
  - when: {user: "^corte$"}
    say: "A consulta custa R$ 220 à vista. Para pagar, faça um Pix para a chave que eu envio agora mesmo."
    fail: length
  - {when: {user: "^corte cedo$"}, say: "Para pagar, faça um Pix para a chave", fail: length}
  - when: {user: "^gente$"}
    say: "Sinto muito! **Já chamo** alguém."
    call: {name: request_human, arguments: {reason: pediu}}
  - {when: {user: "^gente calada$"}, call: {name: request_human, arguments: {reason: pediu}}}
  - {when: {user: "peça sem parar", tool: pedir}, call: {name: pedir, arguments: {quanto: 1}}}
  - {when: {user: "peça sem parar", result_of: pedir}, call: {name: pedir, arguments: {quanto: 2}}}
  - say: "eco: {{ user }}"
""".replace("NAME", NAME)


@pytest.fixture
async def talk(start: Start) -> GraphConversation:
    return await scripted(start())


async def scripted(talk: GraphConversation) -> GraphConversation:
    async with talk.http.post(f"{talk.model}/control/scripts", data=SCRIPT.encode()) as answer:
        assert answer.status == 200, await answer.text()
    return talk


def said(state: dict[str, Any]) -> list[str]:
    return [body for _, body in replies(state)]


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("pense", "Custa *R$ 10*."),
        ("só pense", "eco: só pense"),
        ("rotule", "Seu pedido sai hoje."),
        ("chame", "eco: chame"),
        ("corte", "A consulta custa R$ 220 à vista."),
    ],
)
async def test_the_contact_reads_what_is_meant_for_it(talk: GraphConversation, asked: str, read: str) -> None:
    state = await talk.say(asked)
    assert said(state)[0].startswith(read)
    assert ("problem" in state["turn"]) == (asked == "corte")
    assert "custo" not in str(state["messages"])


@pytest.mark.parametrize("asked", ["chame sempre", "corte cedo"])
async def test_what_is_no_answer_goes_to_a_human(talk: GraphConversation, asked: str) -> None:
    state = await talk.say(asked)
    assert interrupts(state)[0]["reason"].startswith("the model failed: the answer ")
    assert len(said(state)) == 1
    assert "Pix" not in said(state)[0]


async def test_words_beside_a_handoff_are_said(start: Start) -> None:
    talk = await scripted(start(handoff=Handoff()))
    state = await talk.say("gente")
    assert said(state) == ["Sinto muito! *Já chamo* alguém."]
    assert interrupts(state)[0]["message"] is None


async def test_a_silent_handoff_says_something(start: Start) -> None:
    silent = await scripted(start(handoff=Handoff()))
    state = await silent.say("gente calada")
    assert said(state) == []
    assert interrupts(state)[0]["message"] == "Uma pessoa da nossa equipe continua por aqui."
    own = await scripted(start(handoff=Handoff(message="Já vem alguém.")))
    assert interrupts(await own.say("gente calada"))[0]["message"] == "Já vem alguém."


async def test_an_agent_that_needs_too_much_says_what_it_has_done(start: Start) -> None:
    shop = ShopTools()
    agents = {"duvidas": replace(assistant().agents["duvidas"], tools=("pedir",))}
    limits = Limits(model_calls_per_turn=4)
    talk = await scripted(start(tools=shop.tools(), agents=agents, otherwise="duvidas", limits=limits))
    state = await talk.say("peça sem parar")
    assert len(shop.orders) == 4
    assert said(state)[-1].endswith(" Feito até agora: pedir.")
    reason = interrupts(state)[0]["reason"]
    assert reason.startswith('no answer after 4 calls of models; done: pedir {"quanto": 1}; pedir {"quanto": 2}')


async def test_tokens_are_limited_likewise(start: Start) -> None:
    limits = Limits.model_validate({"model_tokens_per_turn": 1000})
    talk = start(limits=limits)
    state = await talk.say("marcar sem parar")
    assert "tokens; done: nothing" in interrupts(state)[0]["reason"]
