"""Ratings from 1 to 5, and what is neither a rating nor a new case."""

import pytest

from graphs.answer_kinds.ratings import rating_in


@pytest.mark.parametrize(
    ("said", "rating"),
    [
        ("⭐⭐⭐⭐⭐", 5),
        ("★★★★☆", 4),
        ("⭐ ⭐", 2),
        ("5⭐", 5),
        ("cinco", 5),
        ("Nota cinco!", 5),
        ("dou nota 5 pelo atendimento", 5),
        ("5, muito bom", 5),
        ("4 parabéns pela equipe", 4),
        ("2, demorou muito", 2),
        ("nota máxima", 5),
        ("nota 10", 5),
        ("10/10", 5),
        ("5️⃣", 5),
        ("５", 5),
        ("5 (cinco)", 5),
        ("Ótimo atendimento, nota 5", 5),
        ("Obrigada! 4", 4),
        ("3\nobrigada", 3),
        ("five stars", 5),
        ("le doy un 4", 4),
    ],
)
def test_a_rating_is_understood(said: str, rating: int) -> None:
    assert rating_in(said) == (rating, False)


@pytest.mark.parametrize(
    "said",
    [
        "👍",
        "👎🏽",
        "🙏❤️",
        "obrigada",
        "Muito obrigado pela ajuda!",
        "obrigada, boa noite",
        "não, obrigada",
        "prefiro não responder",
        "muito bom",
        "ok",
        "thank you so much",
        "¡muchas gracias!",
        "4 ou 5",
        "nota 4,5",
        "nota 7",
        "3 ⭐⭐⭐⭐⭐",
    ],
)
def test_thanks_and_undecided_ratings_are_neither(said: str) -> None:
    assert rating_in(said) == (None, False)


@pytest.mark.parametrize(
    ("said", "rating"),
    [
        ("5, quero marcar outra consulta", 5),
        ("nota 4, mas cadê o meu pedido?", 4),
        ("bom dia", None),
        ("boa noite", None),
        ("não gostei", None),
        ("quero um atendente", None),
        ("uma pergunta", None),
        ("um, dois", None),
        ("obrigada, e abre sábado?", None),
    ],
)
def test_what_needs_an_answer_gets_one(said: str, rating: int | None) -> None:
    assert rating_in(said) == (rating, True)


@pytest.mark.parametrize("word", ["a ", "a@", "eu a nota ", "uma ", "5, "])
def test_a_long_text_is_no_rating_and_takes_no_long_time(word: str) -> None:
    """A pattern with two ways to read a word would not finish."""
    assert rating_in(f"{word * 60}x"[-300:]) == (None, True)
    assert rating_in(f"{word * 1000}x") == (None, True)
