"""Flows: what must not be left to a model."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from graphs.builder import LEG_ENDS_BEFORE, build
from graphs.config import Assign, Branch, End, Flow, FlowStep, Say
from graphs.edges import leg_ended
from graphs.nodes.handoff import ResumeValue
from graphs.rules import Rule
from graphs.sections import Ask, Call
from manifest.flow_sections import MOST_STEPS
from tests.graphs.conftest import Start
from tests.graphs.conversation import GraphConversation, assistant, interrupts, replies
from tests.graphs.shop_tools import ShopTools, broken
from tools.ports import OutcomeUnknown

BEGIN = Rule(to="pedido", match=("comprar",))
RULES = (Rule(to="handoff", match=("atendente",)), Rule(to="close", match=("tchau",)), BEGIN)
HOW_MANY = FlowStep("quanto", Ask(field="quanto", question="Quantas?", expect="number"))
CALL = Call.model_validate({"tool": "pedir", "with": {"quanto": "{quanto}"}, "into": "pedido"})
ORDER = FlowStep("pedir", CALL)
THANKS = FlowStep("fim", Say("Pedido {pedido.numero}: {pedido.itens.0.nome}, pago {pedido.pago}."))
SORRY = FlowStep("falha", Say("Não deu: {error}"))


def flow(*steps: FlowStep, questions: str | None = None, name: str = "pedido") -> dict[str, Flow]:
    """One flow."""
    return {name: Flow(name, "faz um pedido", steps, questions)}


def talk_of(
    start: Start, *steps: FlowStep, shop: ShopTools | None = None, questions: str | None = None, **changes: Any
) -> GraphConversation:
    """A conversation that a flow begins in when the contact wants to buy."""
    tools = (shop or ShopTools()).tools()
    changes = {"rules": RULES, "otherwise": "duvidas", "flows": flow(*steps, questions=questions), **changes}
    return start(tools=tools, **changes)


async def said(talk: GraphConversation, *texts: str) -> list[str]:
    """What the last of these turns says."""
    state: dict[str, Any] = {}
    for text in texts:
        state = await talk.say(text)
    return [body for _, body in replies(state)]


# Questions.


async def test_a_flow_asks_in_order_and_keeps_what_it_is_told(start: Start) -> None:
    talk = talk_of(
        start,
        FlowStep("nome", Ask(field="nome", question="Seu nome?")),
        FlowStep("cpf", Ask(field="cpf", question="CPF de {nome}?", expect="cpf")),
        FlowStep("fim", Say("{nome}, {cpf}, {nada}.")),
    )
    assert await said(talk, "quero comprar") == ["Seu nome?"]
    assert await said(talk, "Ana {cpf}") == ["CPF de Ana {cpf}?"]
    state = await talk.say("529.982.247-25")
    assert replies(state) == [("assistant", "Ana {cpf}, 529.982.247-25, .")]
    assert state["flow"] is None
    assert await talk.asked() == [], "no model has a say in it"
    assert await said(talk, "bom dia") == ["eco: bom dia"]


async def test_what_began_the_flow_is_no_answer(start: Start) -> None:
    talk = talk_of(start, FlowStep("nome", Ask(field="nome", question="Seu nome?")))
    state = await talk.say("comprar")
    assert state["flow"] == {"name": "pedido", "step": "nome", "fields": {}, "tries": 0}


async def test_what_does_not_fit_is_asked_again_and_then_a_human_comes(start: Start) -> None:
    talk = talk_of(
        start, FlowStep("cpf", Ask(field="cpf", question="CPF?", expect="cpf", error="{cpf}Não vale.", tries=3))
    )
    assert await said(talk, "comprar") == ["CPF?"]
    assert await said(talk, "123") == ["Não vale.\nCPF?"]
    assert await said(talk, "111.111.111-11") == ["Não vale.\nCPF?"]
    state = await talk.say("sei lá")
    assert interrupts(state)[0]["reason"] == "flow pedido: no answer that fits 'cpf' after 3 tries"
    assert state["flow"] is None
    await talk.decide(ResumeValue(action="return"))
    assert await said(talk, "bom dia") == ["eco: sei lá\nbom dia"], "the agent sees what nobody has answered"


async def test_every_question_has_its_own_tries(start: Start) -> None:
    talk = talk_of(
        start,
        FlowStep("um", Ask(field="um", question="Um?", expect="number", tries=2)),
        FlowStep("dois", Ask(field="dois", question="Dois?", expect="number", tries=2)),
    )
    assert await said(talk, "comprar", "x", "1", "y") == [
        "I did not understand. Please write one number, such as 25.\nDois?"
    ]
    assert interrupts(await talk.say("z"))


@pytest.mark.parametrize(
    ("language", "ask", "wrong", "hint"),
    [
        ("pt-BR", {"expect": "date"}, "qualquer dia", "Não entendi a data. Escreva assim: 31/12/2026."),
        ("es", {"expect": "time"}, "por la tarde", "No entendí la hora. Escríbela así: 14:30."),
        ("en", {"expect": "email"}, "ana", "That does not look like an e-mail address. Please write it like this:"),
        ("fr", {"expect": "number"}, "x", "I did not understand. Please write one number, such as 25."),
        ("pt-BR", {"expect": "choice", "choices": ("Pix", "Boleto")}, "x", "o número dela:\n1. Pix\n2. Boleto\nOk?"),
        ("pt-BR", {"expect": "text"}, "a" * 501, "Escreva no máximo 500 caracteres, por favor.\nOk?"),
    ],
)
async def test_what_is_expected_is_said_with_an_example(
    start: Start, language: str, ask: dict[str, Any], wrong: str, hint: str
) -> None:
    step = FlowStep("campo", Ask(field="campo", question="Ok?", **ask))
    flows = {"pedido": replace(flow(step)["pedido"], language=language)}
    (reply,) = await said(talk_of(start, step, flows=flows), "comprar", wrong)
    assert hint in reply
    assert reply.endswith("\nOk?")


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        (datetime(2026, 3, 2, 12, 0, tzinfo=UTC), "03/03/2026"),
        (datetime(2026, 3, 2, 2, 59, tzinfo=UTC), "02/03/2026"),  # still Sunday there
    ],
)
async def test_tomorrow_is_counted_in_the_tenants_time_zone(start: Start, now: datetime, kept: str) -> None:
    step = FlowStep("dia", Ask(field="dia", question="Que dia?", expect="date"))
    flows = {"pedido": replace(flow(step, FlowStep("fim", Say("{dia}")))["pedido"], language="pt-BR")}
    talk = talk_of(start, step, flows=flows)
    talk.now = now
    assert await said(talk, "comprar", "Amanhã, por favor") == [kept]


async def test_a_question_in_a_flow_is_answered_then_repeated(start: Start) -> None:
    talk = talk_of(start, HOW_MANY, THANKS, questions="duvidas")
    assert await said(talk, "comprar", "vocês abrem no sábado?") == ["eco: vocês abrem no sábado?", "Quantas?"]
    state = await talk.say("e no domingo?")
    assert state["turn"]["route"] == {"to": "duvidas", "why": "a question within the flow pedido"}
    assert state["flow"]["tries"] == 0, "to ask is no failed try"
    assert (await talk.say("3"))["flow"] is None


async def test_where_nobody_answers_questions_they_are_answers(start: Start) -> None:
    talk = talk_of(start, FlowStep("nome", Ask(field="nome", question="Seu nome?")), FlowStep("fim", Say("{nome}")))
    assert await said(talk, "comprar", "por quê?") == ["por quê?"]


async def test_the_agent_in_between_may_use_its_tools(start: Start) -> None:
    shop = ShopTools()
    agent = replace(assistant().agents["duvidas"], tools=("preco",))
    talk = talk_of(start, HOW_MANY, shop=shop, questions="duvidas", agents={"duvidas": agent})
    assert await said(talk, "comprar", "quanto é?") == ["custa 10", "Quantas?"]
    assert shop.asked == 1
    assert len(await talk.asked()) == 2, "one to call, one to say: the flow is not passed through in between"


async def test_a_transfer_inside_a_flow_returns_to_the_question(start: Start) -> None:
    both = {name: replace(agent, transfers=("agenda",)) for name, agent in assistant().agents.items()}
    both["agenda"] = replace(both["agenda"], transfers=())
    talk = talk_of(start, HOW_MANY, questions="duvidas", agents=both)
    await talk.say("comprar")
    state = await talk.say("passe para agenda?")
    assert (state["agent"], replies(state)[-1][1]) == ("agenda", "Quantas?")


async def test_a_human_who_is_called_in_between_ends_the_flow(start: Start) -> None:
    """What the contact says to the next agent must not end up as an answer to an old question."""
    talk = talk_of(start, FlowStep("nome", Ask(field="nome", question="Seu nome?")), questions="duvidas")
    await talk.say("comprar")
    assert interrupts(await talk.say("socorro?"))
    state = await talk.decide(ResumeValue(action="return", reply="pronto"))
    assert state["flow"] is None
    assert await said(talk, "obrigada") == ["eco: obrigada"]


async def test_a_model_failure_inside_a_flow_hands_over(start: Start) -> None:
    talk = talk_of(start, FlowStep("nome", Ask(field="nome", question="Seu nome?")), questions="duvidas")
    await talk.say("comprar")
    assert interrupts(await talk.say("recuse?"))
    assert (await talk.decide(ResumeValue(action="return")))["flow"] is None


# Rules and flows.


async def test_a_rule_does_not_take_an_answer_for_a_topic(start: Start) -> None:
    rules = (Rule(to="agenda", match=("ana",)), *RULES)
    talk = talk_of(
        start, FlowStep("nome", Ask(field="nome", question="Seu nome?")), FlowStep("fim", Say("Oi {nome}")), rules=rules
    )
    assert await said(talk, "comprar", "Ana") == ["Oi Ana"]


async def test_a_flow_is_not_begun_anew_by_its_own_word(start: Start) -> None:
    talk = talk_of(start, FlowStep("nome", Ask(field="nome", question="Seu nome?")), FlowStep("fim", Say("Oi {nome}")))
    assert await said(talk, "comprar", "comprar") == ["Oi comprar"]


async def test_a_flow_is_left_for_a_human(start: Start) -> None:
    talk = talk_of(start, HOW_MANY)
    await talk.say("comprar")
    state = await talk.say("quero um atendente")
    assert (interrupts(state)[0]["reason"], state["flow"]) == ("rule 1: words: atendente", None)
    await talk.decide(ResumeValue(action="return"))
    assert await said(talk, "3") == ["eco: quero um atendente\n3"]


@pytest.mark.parametrize("way", ["tchau", None])
async def test_a_flow_is_left_at_the_end(start: Start, way: str | None) -> None:
    talk = talk_of(start, HOW_MANY)
    await talk.say("comprar")
    state = await (talk.say(way) if way else talk.idle())
    assert (state["turn"]["closed"], state["flow"]) == (True, None)


async def test_a_flow_that_the_version_no_longer_has_is_left(start: Start) -> None:
    talk = talk_of(start, HOW_MANY)
    await talk.say("comprar")
    for flows in ({}, flow(FlowStep("outro", Ask(field="x", question="X?")))):
        other = start(rules=(), otherwise="duvidas", flows=flows)
        other.graph = other.graph.copy({"checkpointer": talk.graph.checkpointer})
        other.thread = talk.thread
        state = await other.say("3")
        assert (replies(state), state["flow"]) == ([("assistant", "eco: 3")], None)


# Steps without a question.


async def test_fields_are_set_and_decide_where_it_goes_on(start: Start) -> None:
    talk = talk_of(
        start,
        FlowStep("cor", Ask(field="cor", question="Cor?", expect="choice", choices=("azul", "verde"))),
        FlowStep("texto", Assign({"frase": "é {cor}", "outra": "{frase}"})),
        FlowStep("qual", Branch((("cor", "azul", "azul"), ("cor", "preto", "fim")), otherwise=None)),
        FlowStep("verde", Say("Verde: {frase}/{outra}")),
        FlowStep("vai", End()),
        FlowStep("azul", Say("Azul!")),
        FlowStep("fim", End(to="close")),
    )
    assert await said(talk, "comprar", "verde") == ["Verde: é verde/"]
    assert await said(talk, "comprar") == ["Cor?"]
    state = await talk.say("1")
    assert replies(state) == [("assistant", "Azul!"), ("assistant", "Até logo!")]
    assert state["turn"]["closed"]


async def test_a_branch_may_lead_back_to_a_question(start: Start) -> None:
    talk = talk_of(
        start,
        FlowStep("nome", Ask(field="nome", question="Nome?")),
        FlowStep("certo", Ask(field="certo", question="{nome}, certo?", expect="choice", choices=("sim", "não"))),
        FlowStep("volta", Branch((("certo", "não", "nome"),))),
        FlowStep("fim", Say("Feito, {nome}.")),
    )
    for number, begin in enumerate(("comprar", "não", "nao")):
        assert await said(talk, begin) == ["Nome?"]
        assert await said(talk, f"Ana {number}") == [f"Ana {number}, certo?"]
    assert await said(talk, "s") == ["Feito, Ana 2."]


async def test_a_flow_may_end_with_a_human_or_an_agent(start: Start) -> None:
    state = await talk_of(start, FlowStep("diz", Say("Já chamo.")), FlowStep("fim", End(to="handoff"))).say("comprar")
    assert interrupts(state)[0]["reason"] == "the flow pedido ends with a human"
    assert replies(state) == [("assistant", "Já chamo.")]
    state = await talk_of(start, FlowStep("fim", End(to="agenda"))).say("comprar e marcar")
    assert (state["agent"], state["turn"]["route"]["why"]) == ("agenda", "the flow pedido has ended")
    assert replies(state) == [("assistant", "livre - a")]


async def test_an_agent_may_send_the_contact_into_a_flow(start: Start) -> None:
    agent = replace(assistant().agents["duvidas"], transfers=("pedido",))
    talk = talk_of(start, HOW_MANY, THANKS, agents={"duvidas": agent}, rules=())
    state = await talk.say("passe para pedido")
    assert replies(state) == [("assistant", "Quantas?")]
    assert state["turn"]["route"] == {"to": "pedido", "why": "duvidas transferred: pediu"}
    assert (await talk.say("2"))["flow"] is None


async def test_an_agent_after_a_flow_may_start_another_flow(start: Start) -> None:
    """Who was to go on after the first flow is not who goes on after the second."""
    flows = flow(FlowStep("fim", End(to="duvidas"))) | flow(HOW_MANY, THANKS, name="outro")
    agent = replace(assistant().agents["duvidas"], transfers=("outro",))
    talk = talk_of(start, flows=flows, agents={"duvidas": agent})
    state = await talk.say("comprar, passe para outro")
    assert (replies(state), state["flow"]["name"]) == ([("assistant", "Quantas?")], "outro")


async def test_the_router_may_choose_a_flow(start: Start) -> None:
    talk = talk_of(start, HOW_MANY, rules=(), otherwise="classify")
    await talk.say("oi")
    (router, _) = await talk.asked()
    assert "- pedido: faz um pedido" in router["messages"][0]["text"]


async def test_a_flow_as_long_as_the_yaml_allows_runs_in_one_turn(start: Start) -> None:
    steps = [FlowStep(f"s{n}", Assign({"x": "{x}."})) for n in range(MOST_STEPS - 1)]
    talk = talk_of(start, *steps, FlowStep("fim", Say("fim")))
    assert await said(talk, "comprar") == ["fim"]


# Calls.


async def test_a_flow_call_converts_answers_to_the_tools_types(start: Start) -> None:
    shop = ShopTools()
    talk = talk_of(start, HOW_MANY, ORDER, THANKS, shop=shop)
    assert await said(talk, "comprar", "3") == ["Pedido 1: escova, pago false."]
    assert shop.orders == [{"quanto": 3}]


async def test_a_result_decides_where_it_goes_on(start: Start) -> None:
    paid = FlowStep("pago", Assign({"pago": "{pedido.pago}"}))
    where = FlowStep("onde", Branch((("pago", "false", "falta"),)))
    talk = talk_of(start, HOW_MANY, ORDER, paid, where, THANKS, FlowStep("falta", Say("Falta pagar.")))
    assert await said(talk, "comprar", "3") == ["Falta pagar."]


@pytest.mark.parametrize(
    "answer", [broken("está fechado"), {"status": 422, "error": "está fechado"}], ids=["broken", "refused"]
)
async def test_a_call_that_fails_goes_on_where_the_flow_says(start: Start, answer: Any) -> None:
    call = CALL.model_copy(update={"on_error": "falha"})
    steps = (HOW_MANY, FlowStep("pedir", call), THANKS, FlowStep("acaba", End()), SORRY)
    talk = talk_of(start, *steps, shop=ShopTools(answers=[answer]))
    await talk.say("comprar")
    state = await talk.say("3")
    assert (replies(state), state["flow"]) == ([("assistant", "Não deu: está fechado")], None)


async def test_a_failed_call_without_on_error_hands_over(start: Start) -> None:
    talk = talk_of(start, HOW_MANY, ORDER, THANKS, shop=ShopTools(answers=[broken("fechado")]))
    await talk.say("comprar")
    state = await talk.say("3")
    assert replies(state) == [("assistant", "Desculpe, tive um problema.")]
    assert interrupts(state)[0]["reason"] == "flow pedido: pedir failed: fechado"
    assert state["flow"] is None


async def test_arguments_that_the_tool_does_not_take_are_a_failed_call(start: Start) -> None:
    shop = ShopTools()
    talk = talk_of(start, HOW_MANY, ORDER, THANKS, shop=shop)
    await talk.say("comprar")
    assert "the arguments do not fit: quanto" in interrupts(await talk.say("2,5"))[0]["reason"]
    assert shop.orders == []


async def test_what_may_have_been_done_is_never_gone_on_with(start: Start) -> None:
    """The step for failures may lead back to the call, and then it would be done twice."""
    call = CALL.model_copy(update={"on_error": "quanto"})
    shop = ShopTools(answers=[OutcomeUnknown("pedir")])
    talk = talk_of(start, HOW_MANY, FlowStep("pedir", call), THANKS, shop=shop)
    await talk.say("comprar")
    state = await talk.say("3")
    assert "it is not known whether pedir was done" in interrupts(state)[0]["reason"]
    assert state["flow"] is None


async def test_a_field_may_have_any_name(start: Start) -> None:
    shop = ShopTools()
    steps = [
        FlowStep(name, Ask(field=name, question=f"{name}?"))
        for name in ("calls_made", "error", "flow", "messages", "turn", "agent")
    ]
    talk = talk_of(
        start,
        *steps,
        FlowStep("pedir", Call.model_validate({"tool": "pedir", "with": {"quanto": 1, "obs": "{calls_made}"}})),
        shop=shop,
    )
    await talk.say("comprar")
    for step in steps:
        await talk.say(step.name)
    assert shop.orders == [{"quanto": 1, "obs": "calls_made"}]


async def test_a_leg_ends_before_a_flows_call(start: Start) -> None:
    """From then on what the contact said is settled: nothing that comes later may change what was called for."""
    shop = ShopTools()
    talk = talk_of(start, HOW_MANY, ORDER, THANKS, shop=shop)
    made = assistant(rules=RULES, flows=flow(HOW_MANY, ORDER, THANKS), tools=shop.tools())
    talk.graph = build(made, checkpointer=talk.graph.checkpointer, interrupt_before=LEG_ENDS_BEFORE)
    await talk.say("comprar")
    state = await talk.say("3")
    assert leg_ended(state)  # type: ignore[arg-type]
    assert shop.orders == []
    state = await talk.run(None)
    assert not leg_ended(state)  # type: ignore[arg-type]
    assert replies(state) == [("assistant", "Pedido 1: escova, pago false.")]


# Getting out.


CANCEL = Rule(to="pedido", match=("cancelar", "deixa pra lá"))


@pytest.mark.parametrize("text", ["cancelar", "Ah, DEIXA PRA LA...", "quero cancelar isso"])
async def test_a_cancelled_flow_returns_to_routing(start: Start, text: str) -> None:
    out = {"pedido": replace(flow(HOW_MANY, THANKS)["pedido"], cancel=CANCEL, cancelled="Tudo bem.")}
    talk = talk_of(start, HOW_MANY, flows=out)
    assert await said(talk, "quero comprar", text) == ["Tudo bem."]
    assert await said(talk, "que horas abrem") == ["eco: que horas abrem"]


async def test_a_word_like_it_is_an_answer(start: Start) -> None:
    name = FlowStep("nome", Ask(field="nome", question="Seu nome?"))
    out = {"pedido": replace(flow(name)["pedido"], steps=(name, FlowStep("fim", Say("{nome}!"))), cancel=CANCEL)}
    assert await said(talk_of(start, name, flows=out), "quero comprar", "Cancelario") == ["Cancelario!"]


# Approvals within a flow.


async def ask_for_approval(
    start: Start, *steps: FlowStep, on_error: str | None = None
) -> tuple[GraphConversation, ShopTools]:
    """Bring a flow to a call that needs an approval."""
    shop = ShopTools()
    call = FlowStep("pedir", Call.model_validate({**CALL.model_dump(by_alias=True), "on_error": on_error}))
    tools = {name: replace(tool, approval=name == "pedir") for name, tool in shop.tools().items()}
    talk = start(tools=tools, rules=RULES, otherwise="duvidas", flows=flow(HOW_MANY, call, *steps))
    await said(talk, "comprar")
    state = await talk.say("3")
    while not interrupts(state):
        state = await talk.run(None)
    (asked,) = interrupts(state)
    assert (asked["kind"], asked["calls"][0]["tool"], asked["calls"][0]["arguments"]) == (
        "approval",
        "pedir",
        {"quanto": 3},
    )
    assert shop.orders == []
    return talk, shop


async def test_a_call_waits_for_its_approval(start: Start) -> None:
    talk, shop = await ask_for_approval(start, FlowStep("fim", Say("Pronto: {quanto}.")))
    state = await talk.decide(ResumeValue(action="approve"))
    assert shop.orders == [{"quanto": 3}]
    assert replies(state)[-1] == ("assistant", "Pronto: 3.")


async def test_an_operator_may_edit_the_arguments(start: Start) -> None:
    talk, shop = await ask_for_approval(start, FlowStep("fim", Say("Pronto.")))
    await talk.decide(ResumeValue(action="approve", arguments={"pedido-pedir-0": {"quanto": 2}}))
    assert shop.orders == [{"quanto": 2}]


async def test_a_refused_call_goes_on_as_one_that_failed(start: Start) -> None:
    sorry = FlowStep("falha", Say("Não deu: {error}"))
    talk, shop = await ask_for_approval(start, FlowStep("fim", End()), sorry, on_error="falha")
    state = await talk.decide(ResumeValue(action="reject", reason="caro demais"))
    assert shop.orders == []
    assert replies(state)[-1] == ("assistant", "Não deu: an operator did not approve it: caro demais")
