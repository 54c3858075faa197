"""Prepare a contact's text for parsing, and find the words that make a value uncertain."""

import re
import unicodedata

from graphs.config import language_code
from graphs.patterns import plain

INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Zero-width characters and marks of writing direction, which keyboards and copied texts bring along."""
DROPPED = re.compile(f"[{INVISIBLE}\ufe00-\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
"""Invisible characters, what makes a digit a keycap, and skin tones."""
REPLACED = {
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-"),
    # Compatibility forms would make letters of these.
    **dict.fromkeys(map(ord, "ºª"), "°"),
    ord("🔟"): "10",
    **{ord(digit): str(number) for number, digit in enumerate("❶❷❸❹❺❻❼❽❾", 1)},
}
GROUP_SPACE = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
"""A space that no line breaks at, between groups of three digits."""

UNSURE = re.compile(
    r"(?<!\w)(?:n[aã]o|nem|nunca|ni|not|never|don'?t|ou|or|either|antes|depois|apos|ate|before|after|until|till|by|"
    r"hasta|despues|desde|since|partir|entre|between|exceto|except|excepto|menos|mais|mas|minus|less|more|over|under|"
    r"above|below|least|most|qualquer|any|cualquier|talvez|maybe|perhaps|quizas?|todos?|todas?|every|each|cada|"
    r"sem|without|sin)(?!\w)"
)
"""Words that change the meaning of the value that they stand beside, or offer another one."""
UNSURE_IN = {"en": re.compile(r"(?<!\w)no(?!\w)"), "es": re.compile(r"(?<!\w)(?:no|o|u)(?!\w)")}
"""The same, of words that mean something else in other languages."""
PROPOSAL = re.compile(
    r"(?<!\w)(?:pode(?:ria)? ser|podemos|que tal|serve|seria|puede ser|podria ser|te sirve|how about|what about|"
    r"(?:can|could) (?:it|we)|would|is)(?!\w)"
)
"""The beginnings of a question that proposes an answer."""


def trim(said: str) -> str:
    """Return the text without space and invisible characters around it, and with single spaces in it."""
    return " ".join(said.split()).strip(f"{INVISIBLE} ")


def normal(said: str) -> str:
    """Return the text in one line, with ASCII digits and hyphens, and without invisible characters."""
    text = unicodedata.normalize("NFKC", GROUP_SPACE.sub("", said).translate(REPLACED))
    return " ".join(DROPPED.sub("", text).split())


def simple(said: str) -> str:
    """Return the normal text without case and accents."""
    return plain(normal(said))


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def unsure(words: str, language: str) -> bool:
    """Return whether words around a value make it uncertain. `words` are without case and accents."""
    also = UNSURE_IN.get(language_code(language))
    asks = "?" in words and not PROPOSAL.search(words)
    return asks or bool(UNSURE.search(words) or (also and also.search(words)))
