"""Long replies: cut before they are stored, so that each row is one message at the provider."""

import random

import pytest
import regex

from app.channels.splitting import MAX_BODY, split_body


def twilio_length(text: str) -> int:
    """Twilio counts an emoji as several characters (error 21617); two is what UTF-16 says."""
    return len(text.encode("utf-16-le")) // 2


def prose(seed: int, words: int, longest: int = 12) -> str:
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzáéíóúãõç"
    marks = [" "] * 30 + ["\n", "\n\n", "  ", ". "]
    return "".join(
        "".join(chance.choices(letters, k=chance.randint(1, longest))) + chance.choice(marks) for _ in range(words)
    )


@pytest.mark.parametrize("text", ["", " ", "\n\n\t "])
def test_nothing_to_say_is_no_message(text: str) -> None:
    assert split_body(text) == []


@pytest.mark.parametrize("text", ["a", "x" * 1600, "palavra " * 199 + "palavras", " oi \n"])
def test_what_fits_is_one_message(text: str) -> None:
    assert split_body(text) == [text.strip()]


def test_one_character_more_is_two_messages() -> None:
    assert [len(part) for part in split_body("x" * 1601)] == [1600, 1]
    assert split_body("x" * 1600 + " y") == ["x" * 1600, "y"]


@pytest.mark.parametrize("seed", range(30))
def test_all_words_arrive_whole_and_in_order(seed: int) -> None:
    text = prose(seed, words=900)
    parts = split_body(text)
    assert len(parts) > 1
    assert all(0 < len(part) <= MAX_BODY and part == part.strip() for part in parts)
    assert " ".join(parts).split() == text.split()


@pytest.mark.parametrize("seed", range(10))
def test_no_message_is_needlessly_short(seed: int) -> None:
    *full, _ = split_body(prose(seed, words=900))
    assert all(len(part) >= MAX_BODY // 2 for part in full)


def test_paragraphs_are_preferred_to_lines_and_lines_to_words() -> None:
    words = "palavra " * 150
    assert split_body(f"{words}\n\n{words}\n{words}")[0] == words.strip()
    assert split_body(f"{words}\n{words}")[0] == words.strip()


def test_a_text_without_any_gap_is_cut_anyway() -> None:
    text = "".join(random.Random(1).choices("abc", k=5000))
    parts = split_body(text)
    assert "".join(parts) == text
    assert [len(part) for part in parts] == [1600, 1600, 1600, 200]


@pytest.mark.parametrize("before", [1, 400, 700, 800, 1599])
def test_a_word_that_fits_into_a_message_is_never_cut(before: int) -> None:
    """A signed link of a thousand characters, cut in two, is no link any more."""
    link = "https://example.com/" + "x" * 1480
    for text in ("a" * before + " " + link, "oi " * (before // 3) + link + " tchau"):
        assert any(link in part.split() for part in split_body(text))


@pytest.mark.parametrize(
    "text", ["👋" * 1600, "👋 " * 1000, "ação 👍🏽 " * 300, "👨‍👩‍👧‍👦" * 400, "x" * 1599 + "👋"], ids=range(5)
)
def test_emoji_count_as_twilio_counts_them(text: str) -> None:
    parts = split_body(text)
    assert max(map(twilio_length, parts)) <= MAX_BODY
    assert "".join("".join(parts).split()) == "".join(text.split())


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@pytest.mark.parametrize(
    "character",
    ["👨‍👩‍👧‍👦", "👍🏽", "🇧🇷", "ã", "e\u0301\u0323", "☎️", "क्षि", "1️⃣"],
    ids=["family", "skin", "flag", "letter", "accents", "variant", "syllable", "keycap"],
)
def test_no_character_that_people_see_is_cut(character: str) -> None:
    text = character * 2000
    parts = split_body(text)
    assert "".join(parts) == text
    assert [each for part in parts for each in graphemes(part)] == graphemes(text)
    assert all(twilio_length(part) <= MAX_BODY for part in parts)
    assert not any(part.startswith("\u200d") or part.endswith("\u200d") for part in parts)


def test_sentences_are_preferred_to_words() -> None:
    sentence = "Uma frase com algumas palavras e um preço de R$ 1.500,00 no fim. "
    first, *_ = split_body(sentence * 40)
    assert first.endswith("no fim.")
    assert first.count("Uma frase") == 24


@pytest.mark.parametrize("mark", ["*", "_", "~"])
def test_a_marked_span_stays_whole_or_marked(mark: str) -> None:
    before = "palavra " * 190
    span = f"{mark}{'importante ' * 8}sim{mark}"
    for part in (parts := split_body(f"{before}{span} fim")):
        assert part.count(mark) % 2 == 0
    assert any(span in part for part in parts)
    long = f"{mark}{'importante ' * 30}sim{mark} " * 8
    for part in (parts := split_body(long)):
        assert part.count(mark) % 2 == 0
        assert twilio_length(part) <= MAX_BODY
    assert " ".join(parts).replace(mark, "").split() == long.replace(mark, "").split()


def test_code_keeps_its_fences() -> None:
    code = "```\n" + "".join(f"linha {number} = {number}\n" for number in range(300)) + "```"
    parts = split_body(f"Veja:\n{code}\nfim")
    assert len(parts) > 2
    for part in parts:
        assert part.count("```") % 2 == 0
        assert twilio_length(part) <= MAX_BODY
    lines = [line for part in parts for line in part.splitlines() if line.startswith("linha")]
    assert lines == [f"linha {number} = {number}" for number in range(300)]


def test_a_link_at_a_cut_is_not_cut() -> None:
    link = "https://exemplo.com/pedido?id=" + "a1" * 40
    for spaces in range(0, 120, 7):
        text = "x" * (1540 + spaces) + f" Pague em {link} até amanhã. " + "palavra " * 50
        assert any(link in part.split() for part in split_body(text))


@pytest.mark.parametrize("piece", ["*", "*a ", "_a", "```", "``` \n", ". ", "\n", "~~", "(*"])
def test_any_text_is_split_within_the_limit(piece: str) -> None:
    text = piece * (12_000 // len(piece))
    parts = split_body(text)
    assert all(0 < twilio_length(part) <= MAX_BODY for part in parts)


@pytest.mark.parametrize("mark", ["*", "_", "~", "`"])
def test_a_span_that_is_longer_than_a_part_is_marked_in_each(mark: str) -> None:
    text = f"{mark}{'importante ' * 170}fim{mark}"
    parts = split_body(text)
    assert len(parts) == 2
    assert all(part.startswith(mark) and part.endswith(mark) and part.count(mark) == 2 for part in parts)


def test_marks_within_marks_are_opened_again_in_their_order() -> None:
    first, second = split_body(f"*_{'importante ' * 170}fim_*")
    assert first.startswith("*_i")
    assert first.endswith("e_*")
    assert second.startswith("*_i")
    assert second.endswith("fim_*")


def test_a_price_and_a_number_in_groups_are_not_cut() -> None:
    for spaces in range(0, 60, 3):
        parts = split_body("palavra " * 195 + "x" * spaces + " Ligue para +55 11 98765 4321 ou pague R$ 10 hoje " * 3)
        assert sum(part.count("+55 11 98765 4321") for part in parts) == 3
        assert sum(part.count("R$ 10") for part in parts) == 3


def test_random_marks_are_split_within_any_limit() -> None:
    pick = random.Random(3)
    pieces = ["*", "_", "~", "```", "`", "\n", "\n\n", " ", "palavra", "https://a.com/abc", "👨‍👩‍👧‍👦", "👍🏽", ". "]
    for _ in range(1000):
        text = "".join(pick.choices(pieces, k=pick.randint(5, 80)))
        parts = split_body(text, 40)
        assert all(part.strip() and twilio_length(part) <= 40 for part in parts)
        said, kept = ("".join(c for c in t if c not in "*_~`" and not c.isspace()) for t in (text, "".join(parts)))
        assert said == kept
