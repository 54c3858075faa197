"""Long replies: cut before they are stored, so that each row is one message at the provider."""

import random

import pytest

from app.channels.base import MAX_BODY, split_body


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
