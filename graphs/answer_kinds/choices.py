"""Parse the choice of one of several texts."""

import re
from collections.abc import Sequence

from graphs.answer_kinds.moments import parse_time
from graphs.answer_kinds.number_words import with_digits
from graphs.answer_kinds.wording import simple, words_of
from graphs.patterns import plain

ENUMERATION = re.compile(r"^(?:\d{1,2}\s*[.):-]+\s*|[a-z]\)\s*)")
NO_LETTERS = re.compile(r"^[^\w(]+|[^\w)]+$")
ASIDE = re.compile(r"\s*\(([^)]*)\)\s*")
PARTS = re.compile(r"\s+[-\u2013\u2014|]\s+|:\s+")
FILLERS = words_of(
    "a o as os ao na no um uma de da do das dos em e eh por favor pf pfv pfvr quero queria gostaria prefiro "
    "escolho vou vamos pode ser seria opcao op numero n resposta letra eu parte periodo turno mesmo obrigado "
    "obrigada obg pagar marcar agendar ficar ir falar com para pra mim melhor nota dou the an i i'd would like "
    "want choose prefer option number please pls in at to it's is it thanks thank you pay el la los las quiero "
    "prefiero elijo opcion en del es gracias puede"
)
"""Words around a choice that do not change it."""
EXPLICIT = re.compile(r"(?<!\w)(?:opcao|opcion|option|numero|number|n°|#|item)(?!\w)")
LETTER = re.compile(r"(?:a )?(?:letra|letter|opcao|opcion|option|alternativa) ([a-z])\W*")
_ORDINALS = (
    "primeir[ao]|primer[ao]?|first",
    "segund[ao]|second",
    "terceir[ao]|tercer[ao]?|third",
    "quart[ao]|cuart[ao]|fourth",
    "quint[ao]|fifth",
)
ORDINALS = [re.compile(rf"(?<!\w)(?:{words})(?: one)?(?!\w)") for words in _ORDINALS]
LAST = frozenset(("ultima", "ultimo", "last", "last one"))
UNDECIDED = re.compile(r"(?<!\w)(?:ou|or|nao sei|no se|sei la|talvez|maybe|quizas?|depende|depends)(?!\w)")
YES = words_of(
    "sim s ss si yes y yep yeah claro isso ok okay certo correto exato confirmo confirmado positivo aham uhum 👍 👌 "
    "✅ ✔ sure correct correcto exacto vale "
    "beleza blz exatamente afirmativo perfeito"
)
YES_PHRASES = frozenset(
    (
        "isso mesmo",
        "com certeza",
        "isso ai",
        "esta certo",
        "ta certo",
        "esta correto",
        "pode ser",
        "claro que sim",
        "claro que si",
        "ta bom",
        "esta bom",
    )
)
NO = words_of("nao n nn no nope negativo 👎 ❌ ✖")
SIGNS = "👍👌✅✔👎❌✖"
YES_CHOICE = re.compile(r"(?:sim|si|yes|confirmar|confirmo|confirm)(?!\w)")
NO_CHOICE = re.compile(r"(?:nao|no|cancelar|cancel)(?!\w)")


def parse_choice(said: str, choices: tuple[str, ...], language: str) -> str | None:
    """Return the choice that a text names: by its words or their beginning, its place, or yes and no."""
    text = plain(" ".join(said.split())).strip(" .!")
    undecided = UNDECIDED.search(text)
    if undecided and not any(undecided[0] in plain(choice) for choice in choices):
        return None
    if (found := _as_written(text, choices)) is not None:
        return found
    # "siiim" is sim.
    wanted = re.sub(r"([a-z])\1{2,}", r"\1", simple(said))
    signs = set(_words_and_signs(wanted))
    if re.match(r"-\s*\d", wanted) or (signs & YES and signs & NO):
        return None
    ways = (
        _as_written(wanted.strip(" .!,;)"), choices),
        _by_words(wanted, choices),
        _by_words(with_digits(wanted, language), choices),
        _by_words(_with_ordinals(wanted), choices),
        _by_place(wanted, choices, language),
        _by_yes_or_no(wanted, choices),
        _by_time(said, choices, language),
    )
    named = {way for way in ways if way is not None}
    return named.pop() if len(named) == 1 else None


def _as_written(wanted: str, choices: Sequence[str]) -> str | None:
    exact = [choice for choice in choices if plain(choice) == wanted]
    begun = [choice for choice in choices if wanted and re.match(rf"{re.escape(wanted)}(?!\d)", plain(choice))]
    # Accepts "sim, por favor", if it contains no other choice.
    named = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(plain(choice))}(?!\w)", wanted)]
    more = named if len(named) == 1 and wanted.startswith(plain(named[0])) else []
    found = exact or begun or more
    if len(found) == 1:
        return found[0]
    # A number is a place in the list, unless a choice begins with that number.
    return choices[int(wanted) - 1] if re.fullmatch(r"[1-9][0-9]?", wanted) and int(wanted) <= len(choices) else None


def _by_words(wanted: str, choices: Sequence[str]) -> str | None:
    """Return the only choice of which a text says a name, and nothing else that counts."""
    said = {
        choice: max(names, key=len)
        for choice in choices
        if (names := [name for name in _names(choice) if _says(wanted, name)])
    }
    # "Tarde da noite" also says "tarde".
    longest = {
        choice: name
        for choice, name in said.items()
        if not any(name != other and _says(other, name) for other in said.values())
    }
    if not longest:
        bare = _without_fillers(wanted)
        begun = [choice for choice in choices if any(re.match(rf"{re.escape(bare)}(?!\w)", n) for n in _names(choice))]
        return begun[0] if len(begun) == 1 and bare and not bare.isdigit() else None
    if len(longest) > 1:
        return None
    ((choice, name),) = longest.items()
    # "1 - Sim" says place and name.
    return choice if _without_fillers(wanted.replace(name, " ")) in ("", str(choices.index(choice) + 1)) else None


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _names(choice: str) -> set[str]:
    """Return what a choice is called: its words without number and emoji, and the parts around ( ), - and :."""
    text = NO_LETTERS.sub("", ENUMERATION.sub("", NO_LETTERS.sub("", simple(choice))))
    words = re.sub(r"^\d{1,2} (?=\D)", "", text) if _is_numbered(choice) else text
    aside = ASIDE.search(words)
    without = ASIDE.sub(" ", words)
    names = (words, without, aside[1] if aside else "", *PARTS.split(without))
    return {bare for name in names if (bare := NO_LETTERS.sub("", name.strip()))}


def _is_numbered(choice: str) -> bool:
    """Return whether a choice begins with an emoji of a digit."""
    return "\u20e3" in choice[:3] or choice.startswith("🔟")


def _by_place(wanted: str, choices: Sequence[str], language: str) -> str | None:
    """Return the choice of a place: `opção 2`, `a segunda`, `dois`, `2)`, ⭐⭐."""
    if letter := LETTER.fullmatch(wanted):
        return _as_written(letter[1], choices)
    rest = _without_fillers(_with_ordinals(wanted))
    if rest in LAST:
        return choices[-1]
    # "um" alone is a number, and beside other words an article.
    alone = with_digits(wanted.strip(" .!,"), language, ones=True)
    place = _place(alone if alone.isdigit() else with_digits(rest, language, ones=True), wanted)
    own = [choice for choice in choices if re.match(rf"{place}(?!\d)", simple(choice))]
    by_place = choices[place - 1] if 1 <= place <= len(choices) else None
    if not own or own == [by_place]:
        return by_place
    # The number is the choice's own, unless it is said to be a place.
    return own[0] if len(own) == 1 and not EXPLICIT.search(wanted) else None


def _place(rest: str, wanted: str) -> int:
    """Return the place that a text says, or 0."""
    if re.fullmatch(r"[⭐🌟★ ]+", wanted):
        return len(wanted.replace(" ", ""))
    found = re.fullmatch(r"(?:n° ?)?0?([1-9][0-9]?)°?", rest)
    return int(found[1]) if found else 0


def _with_ordinals(words: str) -> str:
    for place, pattern in enumerate(ORDINALS, 1):
        words = pattern.sub(f"{place}°", words)
    return words


def _by_yes_or_no(wanted: str, choices: Sequence[str]) -> str | None:
    """Return the choice that begins with yes or no, for an answer that is nothing but yes or no."""
    words = set(_words_and_signs(wanted))
    yes = wanted.strip(f" .!{SIGNS}") in YES_PHRASES or bool(words & YES and words <= YES | FILLERS)
    no = bool(words & NO and words <= NO | FILLERS)
    if yes == no:
        return None
    meant = YES_CHOICE if yes else NO_CHOICE
    fitting = [choice for choice in choices if any(meant.match(name) for name in _names(choice))]
    return fitting[0] if len(fitting) == 1 else None


def _words_and_signs(words: str) -> list[str]:
    return re.findall(rf"\w+|[{SIGNS}]", words)


def _by_time(said: str, choices: Sequence[str], language: str) -> str | None:
    """Return the choice of a time, where all are times: `8h30` is `08:30`."""
    if not all(re.search(r"\d", choice) for choice in choices):
        return None
    times = {parse_time(choice, language): choice for choice in choices}
    return times.get(parse_time(said, language)) if None not in times and len(times) == len(choices) else None


def _without_fillers(words: str) -> str:
    return " ".join(word for word in re.findall(r"[\w'°]+", words) if word not in FILLERS)
