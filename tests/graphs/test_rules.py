"""Routes that need no model."""

import unicodedata

import pytest

from graphs.config import Rule, plain
from graphs.nodes.route import by_rule
from graphs.state import State, new_turn
from tests.graphs.talk import assistant

PERSON = Rule(to="handoff", words=("atendente", "falar com alguém"))


def chosen(rules: tuple[Rule, ...], state: State) -> tuple[str, str]:
    """Where the rules send it, and which of them did."""
    route = by_rule(assistant(rules=rules), state)
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
    assert PERSON.applies(text, None)


@pytest.mark.parametrize(
    "text",
    ["", "atendentes", "superatendente", "atendente2", "atendente_novo", "atend ente", "falar com", "alguém", "oi"],
)
def test_a_rule_asks_for_whole_words(text: str) -> None:
    assert not PERSON.applies(text, None)


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
    assert Rule(to="x", words=(word,)).applies(text, None) is applies


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
    assert Rule(to="x", button=button).applies("agenda_amanha sim", pressed) is applies


def test_a_rule_with_words_and_a_button_applies_to_either() -> None:
    rule = Rule(to="x", words=("sim",), button="sim_*")
    assert rule.applies("sim", None)
    assert rule.applies("", "sim_1")
    assert not rule.applies("não", "nao_1")


def test_a_rule_whose_word_has_no_letters_left_does_not_catch_everything() -> None:
    assert not Rule(to="x", words=("\u0301", "oi")).applies("nada!! disso", None)


def test_the_first_rule_that_applies_wins() -> None:
    rules = (Rule(to="agenda", words=("marcar",)), Rule(to="handoff", words=("marcar", "pessoa")))
    state = State(messages=[], agent=None, turn=new_turn(said="marcar com uma pessoa"))
    assert chosen(rules, state) == ("agenda", "rule 1")
    assert chosen(rules[::-1], state) == ("handoff", "rule 1")
    assert chosen((PERSON, *rules), state) == ("agenda", "rule 2")


def test_only_what_was_said_in_this_turn_counts() -> None:
    state = State(messages=[], agent="agenda", turn=new_turn(said="bom dia"))
    assert by_rule(assistant(rules=(PERSON,)), state) is None


def test_silence_closes_before_any_rule() -> None:
    everything = (Rule(to="agenda", button="*"),)
    state = State(messages=[], agent=None, turn=new_turn("idle", button="x"))
    assert chosen(everything, state) == ("close", "idle")


def test_plain_text_has_no_case_and_no_accents() -> None:
    assert plain("ÁÇÃO Ñandú ﬁm İstanbul") == "acao nandu fim istanbul"
