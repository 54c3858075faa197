"""Routes that need no model."""

import unicodedata
from typing import Any

import pytest

from graphs.nodes.route import route_without_model
from graphs.patterns import plain
from graphs.rules import Rule, RuleInput
from graphs.state import FlowState, State, new_turn
from tests.graphs.conversation import assistant

PERSON = Rule(to="handoff", match=("atendente", "falar com alguém"))


def chosen(rules: tuple[Rule, ...], text: str, **circumstances: Any) -> tuple[str, str]:
    """Where the rules send it, and which of them did."""
    state = State(messages=[], agent=None, flow=None, turn=new_turn(said=text))
    route = route_without_model(assistant(rules=rules), state, RuleInput(text, **circumstances))
    assert route is not None
    return route["to"], route["why"].partition(":")[0]


@pytest.mark.parametrize(
    "text",
    [
        "atendente",
        "ATENDENTE!",
        "um aténdênte, por favor",
        "¿atendente?",
        "oi\natendente",
        "quero FALAR COM ALGUEM já",
        unicodedata.normalize("NFD", "falar com alguém"),
        unicodedata.normalize("NFC", "falar com alguém"),
        "\uff41\uff54\uff45\uff4e\uff44\uff45\uff4e\uff54\uff45",  # full-width letters
        "🙏atendente🙏",
    ],
)
def test_a_rule_finds_its_words_whatever_their_case_and_accents(text: str) -> None:
    assert PERSON.applies(RuleInput(text))


@pytest.mark.parametrize(
    "text",
    ["", "atendentes", "superatendente", "atendente2", "atendente_novo", "atend ente", "falar com", "alguém", "oi"],
)
def test_a_rule_asks_for_whole_words(text: str) -> None:
    assert not PERSON.applies(RuleInput(text))


@pytest.mark.parametrize(
    ("word", "text", "applies"),
    [
        ("r$ 10", "custa R$ 10?", True),
        ("r$ 10", "custa R$ 100", False),
        ("c++", "gosto de C++", True),
        ("c++", "gosto de ccc", False),
        (".*", "qualquer coisa", False),
        ("straße", "STRASSE", True),
        ("(oi", "(oi", True),
    ],
)
def test_words_are_words_and_no_expressions(word: str, text: str, applies: bool) -> None:
    assert Rule(to="x", match=(word,)).applies(RuleInput(text)) is applies


@pytest.mark.parametrize(
    ("button", "pressed", "applies"),
    [
        ("agenda_*", "agenda_amanha", True),
        ("agenda_*", "agenda_", True),
        ("agenda_*", "minha_agenda_1", False),
        ("agenda_*", "AGENDA_1", False),
        ("sim", "sim", True),
        ("sim", None, False),
        ("*", "", True),
    ],
)
def test_a_button_is_known_by_its_payload(button: str, pressed: str | None, applies: bool) -> None:
    assert Rule(to="x", button=button).applies(RuleInput("agenda_amanha sim", pressed)) is applies


EVERYTHING = Rule(
    to="x",
    match=("sim", "claro"),
    regex="s.m|cl",
    button="sim_*",
    language="pt",
    outside_hours=True,
    first_message=False,
    tag="vip",
)
HEARD: dict[str, Any] = {
    "text": "sim",
    "button": "sim_1",
    "language": "pt",
    "outside_hours": True,
    "first_message": False,
    "tags": frozenset({"vip", "novo"}),
}


def test_a_rule_applies_when_all_that_it_names_holds() -> None:
    assert EVERYTHING.applies(RuleInput(**HEARD))
    assert EVERYTHING.applies(RuleInput(**{**HEARD, "text": "Claro!"}))


@pytest.mark.parametrize(
    "other",
    [
        {"text": "não"},
        {"button": None},
        {"button": "nao_1"},
        {"language": None},
        {"language": "en"},
        {"outside_hours": False},
        {"first_message": True},
        {"tags": frozenset()},
        {"tags": frozenset({"VIP"})},
    ],
    ids=str,
)
def test_every_condition_of_a_rule_must_hold(other: dict[str, Any]) -> None:
    assert not EVERYTHING.applies(RuleInput(**{**HEARD, **other}))


@pytest.mark.parametrize(
    ("rule", "rule_input"),
    [
        (Rule(to="x", regex=r"^\d{3}$"), {"text": "123"}),
        (Rule(to="x", regex="PEDIDO n"), {"text": "meu pedido N 1"}),
        (Rule(to="x", regex="é|ã"), {"text": "PÃO"}),
        (Rule(to="x", language="es"), {"language": "es"}),
        (Rule(to="x", outside_hours=True), {"outside_hours": True}),
        (Rule(to="x", outside_hours=False), {"outside_hours": False}),
        (Rule(to="x", first_message=True), {"first_message": True}),
        (Rule(to="x", tag="vip"), {"tags": frozenset({"vip"})}),
    ],
    ids=str,
)
def test_every_condition_is_enough_alone(rule: Rule, rule_input: dict[str, Any]) -> None:
    assert rule.applies(RuleInput(**{"text": "", **rule_input}))
    assert not rule.applies(
        RuleInput("nada", outside_hours=rule.outside_hours is False, first_message=rule.first_message is False)
    )


@pytest.mark.parametrize("regex", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(a*)*b"])
def test_no_expression_holds_up_whoever_matches_it(regex: str) -> None:
    """An engine that tries all ways needs longer than the world has for one of these."""
    assert not Rule(to="x", regex=f"^{regex}").applies(RuleInput("a" * 4000 + "!"))


def test_a_rule_says_why_in_its_own_words() -> None:
    assert Rule(to="x", match=("oi", "olá"), outside_hours=False, tag="vip").why == (
        "words: oi, olá; outside hours: False; tag: vip"
    )


def test_a_word_of_accents_only_matches_nothing() -> None:
    assert not Rule(to="x", match=("\u0301", "oi")).applies(RuleInput("nada!! disso"))


def test_the_first_rule_that_applies_wins() -> None:
    rules = (Rule(to="agenda", match=("marcar",)), Rule(to="handoff", match=("marcar", "pessoa")))
    text = "marcar com uma pessoa"
    assert chosen(rules, text) == ("agenda", "rule 1")
    assert chosen(rules[::-1], text) == ("handoff", "rule 1")
    assert chosen((PERSON, *rules), text) == ("agenda", "rule 2")


def test_without_a_rule_that_applies_a_model_is_asked() -> None:
    state = State(messages=[], agent="agenda", flow=None, turn=new_turn(said="bom dia"))
    assert route_without_model(assistant(rules=(PERSON,)), state, RuleInput("bom dia")) is None


def test_silence_closes_before_any_rule_and_any_flow() -> None:
    flow = FlowState(name="cadastro", step="nome", fields={}, tries=0)
    state = State(messages=[], agent=None, flow=flow, turn=new_turn("idle"))
    route = route_without_model(assistant(rules=(Rule(to="agenda", outside_hours=False),)), state, RuleInput(""))
    assert route == {"to": "close", "why": "idle"}


def test_plain_text_has_no_case_and_no_accents() -> None:
    assert plain("ÁÇÃO Ñandú ﬁm İstanbul") == "acao nandu fim istanbul"
