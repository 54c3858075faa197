"""Read numbers that are written in words, in Portuguese, English and Spanish, with or without accents."""

import re
from collections.abc import Iterable, Mapping

from graphs.config import language_code


def _table(ones: str, tens: str, hundreds: str, **more: int) -> dict[str, int]:
    """Return words and values: 0 to 19 one after the other, the tens from 20 on, the hundreds from 100 on."""
    table = dict(more)
    for first, step, words in ((0, 1, ones), (20, 10, tens), (100, 100, hundreds)):
        for number, alternatives in enumerate(words.split()):
            table.update(dict.fromkeys(alternatives.split("/"), first + step * number))
    return table


WORDS: Mapping[str, Mapping[str, int]] = {
    "pt": _table(
        "zero um/uma dois/duas tres quatro cinco seis sete oito nove dez onze doze treze quatorze/catorze quinze "
        "dezesseis/dezasseis dezessete/dezassete dezoito dezenove/dezanove",
        "vinte trinta quarenta cinquenta/cincoenta sessenta setenta oitenta noventa",
        "cem/cento duzentos/duzentas trezentos/trezentas quatrocentos/quatrocentas quinhentos/quinhentas "
        "seiscentos/seiscentas setecentos/setecentas oitocentos/oitocentas novecentos/novecentas",
        mil=1000,
    ),
    "en": _table(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen",
        "twenty thirty forty/fourty fifty sixty seventy eighty ninety",
        "hundred",
        thousand=1000,
    ),
    "es": _table(
        "cero uno/un/una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis "
        "diecisiete dieciocho diecinueve",
        "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
        "cien/ciento doscientos/doscientas trescientos/trescientas cuatrocientos/cuatrocientas quinientos/quinientas "
        "seiscientos/seiscientas setecientos/setecientas ochocientos/ochocientas novecientos/novecientas",
        veintiuno=21,
        veintiun=21,
        veintiuna=21,
        veintidos=22,
        veintitres=23,
        veinticuatro=24,
        veinticinco=25,
        veintiseis=26,
        veintisiete=27,
        veintiocho=28,
        veintinueve=29,
        mil=1000,
    ),
}
JOINT = r"(?: +(?:e|y|and) +| +|-)"
"""What stands between the words of one number."""


def _run_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of one or more numbers in words. It leaves "2 mil" to those who read numbers with digits."""
    word = f"(?:{'|'.join(sorted(words, key=len, reverse=True))})"
    return re.compile(rf"(?<![\w-])(?!(?<=\d )(?:mil|thousand)(?!\w)){word}(?:{JOINT}{word})*(?![\w-])")


RUNS = {code: _run_of(words) for code, words in WORDS.items()}


def with_digits(text: str, language: str, *, ones: bool = False) -> str:
    """Return the text with digits for numbers in words. `text` is without case and accents.

    A word for 1 is often an article. It becomes a digit only if `ones`, or as a part of a number.
    """
    code = language_code(language)
    if code not in WORDS:
        return text
    return RUNS[code].sub(lambda found: _read(found[0], WORDS[code], ones), text)


def _read(run: str, words: Mapping[str, int], ones: bool) -> str:
    """Return the digits of the numbers in a run of number words, with what stands between them."""
    parts = re.split(f"({JOINT})", run)
    made: list[str] = []
    thousands, rest, begun = 0, words[parts[0]], parts[0]
    if rest == 1000:
        thousands, rest = 1000, 0
    for joint, word in zip(parts[1::2], parts[2::2], strict=True):
        value = words[word]
        if value == 1000 and not thousands and rest:
            thousands, rest = rest * 1000, 0
        elif value == 100 and 1 <= rest <= 9 and not begun.startswith(("cem", "cien")) and "hundred" in words:
            rest *= 100
        elif value < 1000 and _follows(value, rest):
            rest += value
        else:
            made += [_digits(thousands + rest, begun, ones), joint]
            thousands, rest, begun = (1000, 0, word) if value == 1000 else (0, value, word)
            continue
        begun += joint + word
    return "".join([*made, _digits(thousands + rest, begun, ones)])


def _follows(value: int, rest: int) -> bool:
    """Return whether a value continues a number that has ended with `rest`, as 5 continues 20."""
    if rest == 0 or value == 0:
        return rest == 0 and value > 0
    return (rest % 100 == 0 and value < 100) or (rest % 100 >= 20 and rest % 10 == 0 and value < 10)


def _digits(number: int, written: str, ones: bool) -> str:
    return str(number) if ones or number != 1 else written
