"""From the assistant to a human, and back."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from graphs.nodes.handoff import ResumeValue, Said
from tests.graphs.conftest import Start
from tests.graphs.conversation import GraphConversation, interrupts, replies, shape

MEANWHILE = [
    Said(id="SM1", author="contact", body="alô? atendente?"),
    Said(id="outbox-1", author="operator", body="sou a Bia, posso ajudar"),
    Said(id="SM2", author="contact", body="quero falar com alguém"),
]


async def waiting(talk: GraphConversation, text: str = "socorro") -> GraphConversation:
    """A conversation that waits for an operator."""
    assert interrupts(await talk.say(text)), "nothing waits"
    return talk


async def test_a_rule_hands_over_and_says_what_the_operator_must_know(start: Start) -> None:
    state = await start().say("quero falar com um ATENDENTE")
    (asked,) = interrupts(state)
    assert asked["reason"].startswith("rule 1")
    assert {name: asked[name] for name in ("kind", "queue", "message")} == {
        "kind": "handoff",
        "queue": "recepcao",
        "message": "Vou chamar uma pessoa.",
    }
    assert replies(state) == []


async def test_an_agent_may_ask_for_a_human(start: Start) -> None:
    state = await start().say("socorro")
    assert interrupts(state)[0]["reason"] == "pediu socorro"


async def test_the_router_may_ask_for_a_human(start: Start) -> None:
    state = await start().say("quero uma pessoa")
    assert interrupts(state)[0]["reason"] == "quer uma pessoa"


async def test_given_back_the_conversation_says_nothing_of_itself(start: Start) -> None:
    talk = await waiting(start())
    state = await talk.decide(ResumeValue(action="return"))
    assert (replies(state), interrupts(state), state["turn"]["closed"]) == ([], [], False)
    assert len(await talk.asked()) == 2


async def test_a_decision_may_carry_the_operators_words(start: Start) -> None:
    talk = await waiting(start())
    state = await talk.decide(ResumeValue(action="return", reply="Já resolvi, Ana."))
    assert replies(state) == [("operator", "Já resolvi, Ana.")]
    await talk.say("e agora?")
    told = [message["text"] for message in (await talk.asked())[-1]["messages"]]
    assert "[operator] Já resolvi, Ana." in told


async def test_the_goodbye_follows_the_closing_operators_reply(start: Start) -> None:
    talk = await waiting(start())
    state = await talk.decide(ResumeValue(action="close", reply="Está marcado."))
    assert replies(state) == [("operator", "Está marcado."), ("assistant", "Até logo!")]
    assert state["turn"]["closed"]


async def test_what_was_said_meanwhile_comes_back_with_its_author(start: Start) -> None:
    talk = await waiting(start())
    await talk.decide(ResumeValue(action="return", reply="de nada", said=MEANWHILE))
    await talk.say("e o preço?")
    spoken = [
        (m["role"], m["text"]) for m in (await talk.asked())[-1]["messages"] if m["role"] in ("user", "assistant")
    ]
    assert spoken[-5:] == [
        ("user", "alô? atendente?"),
        ("assistant", "[operator] sou a Bia, posso ajudar"),
        ("user", "quero falar com alguém"),
        ("assistant", "[operator] de nada"),
        ("user", "e o preço?"),
    ]


async def test_what_was_said_meanwhile_counts_once(start: Start) -> None:
    talk = await waiting(start())
    state = await talk.decide(ResumeValue(action="return", said=[*MEANWHILE, *MEANWHILE]))
    assert [m.id for m in state["messages"] if m.id in ("SM1", "outbox-1", "SM2")] == ["SM1", "outbox-1", "SM2"]


async def test_an_answer_replaced_by_an_operator_is_dropped(start: Start) -> None:
    """Left standing, it keeps a model silent, or lets it hand over again."""
    talk = await waiting(start())
    state = await talk.decide(ResumeValue(action="return"))
    (result,) = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert "takes over" not in result.text
    assert "you answer again" in result.text
    assert shape(state["messages"]) == ["h", "a", "t"]


async def test_a_failed_call_for_a_human_is_not_rewritten(start: Start) -> None:
    talk = start()
    failed = ToolMessage("no", tool_call_id="c", name="request_human", id="result-c", status="error")
    call = AIMessage("", id="a", tool_calls=[{"name": "request_human", "args": {}, "id": "c"}])
    await talk.say("socorro", before=[HumanMessage("oi", id="h"), call, failed])
    state = await talk.decide(ResumeValue(action="return"))
    assert [m.text for m in state["messages"] if m.id == "result-c"] == ["no"]


async def test_words_said_to_the_human_do_not_hand_over_again(start: Start) -> None:
    talk = await waiting(start(), "quero um atendente")
    state = await talk.decide(ResumeValue(action="return", reply="de nada", said=MEANWHILE))
    assert not interrupts(state)
    state = await talk.say("quanto custa?")
    assert (replies(state), interrupts(state)) == ([("assistant", "eco: quanto custa?")], [])


async def test_after_a_handoff_the_contact_may_ask_for_a_human_again(start: Start) -> None:
    talk = await waiting(start(), "quero um atendente")
    await talk.decide(ResumeValue(action="return"))
    assert interrupts(await talk.say("atendente!"))
    state = await talk.decide(ResumeValue(action="close"))
    assert state["turn"]["closed"]


async def test_what_failed_before_the_handoff_does_not_count_after_it(start: Start) -> None:
    talk = await waiting(start(), "marcar sempre errado")
    state = await talk.decide(ResumeValue(action="return"))
    turn = state["turn"]
    assert (turn["tool_failures"], turn["handoff"], turn["replies"], turn["usage"]) == (0, None, [], [])
    assert not interrupts(await talk.say("bom dia"))


@pytest.mark.parametrize("text", ["socorro", "marcar sempre errado", "recuse", "não quero ninguém", "atendente"])
async def test_history_after_any_handoff_is_valid_for_the_model(start: Start, text: str) -> None:
    talk = await waiting(start(), text)
    await talk.decide(ResumeValue(action="return", reply="de nada", said=MEANWHILE))
    for again in ("bom dia", "boa tarde"):
        state = await talk.say(again)
        assert replies(state) == [("assistant", f"eco: {again}")]


async def test_handing_over_ten_times_costs_ten_handovers(start: Start) -> None:
    talk = start()
    for _ in range(10):
        await waiting(talk)
        await talk.decide(ResumeValue(action="return"))
    assert len(await talk.asked()) == 20
