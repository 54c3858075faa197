"""The words of a text as a search finds them, however they are written.

The same forms are made of what is stored and of what is sought: e-mail and email, wi-fi and wifi, 10kg and 10 kg.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping

from graphs.patterns import plain

COMPOUND = re.compile(r"\w+(?:[-\u2010\u2011/.]\w+)+")
WORD = re.compile(r"\w+")
WITH_UNIT = re.compile(r"\b(\d+(?:[.,]\d+)?)\s?([^\W\d_]{1,4}|%|°c)\b|\b(\d+)\s?%")
GROUPED = re.compile(r"\b\d{1,3}(?:[.,]\d{3})+\b")
ADDRESS = re.compile(r"[\w.+-]*@?[\w-]+(?:\.[\w-]+)+")
LONGEST_JOINED = 10
"""The number of characters of two neighbouring words that may be one: check in, wi fi."""

SHORT: Mapping[str, Mapping[str, str]] = {
    "pt": {
        **{"seg": "segunda", "ter": "terça", "qua": "quarta", "qui": "quinta", "sex": "sexta", "sáb": "sábado"},
        **{"sab": "sábado", "dom": "domingo", "av": "avenida", "r": "rua", "pça": "praça", "tel": "telefone"},
        **{"fone": "telefone", "cel": "celular", "zap": "whatsapp", "vc": "você", "qto": "quanto", "qnto": "quanto"},
        **{"pgto": "pagamento", "hr": "hora", "hrs": "hora", "min": "minuto", "dr": "doutor", "dra": "doutora"},
        **{"nº": "número", "num": "número", "end": "endereço", "obs": "observação", "apto": "apartamento"},
    },
    "en": {
        **{"mon": "monday", "tue": "tuesday", "wed": "wednesday", "thu": "thursday", "fri": "friday"},
        **{"sat": "saturday", "sun": "sunday", "st": "street", "ave": "avenue", "tel": "phone", "appt": "appointment"},
        **{"hr": "hour", "hrs": "hour", "min": "minute", "info": "information"},
    },
    "es": {
        **{"lun": "lunes", "mar": "martes", "mié": "miércoles", "jue": "jueves", "vie": "viernes", "sáb": "sábado"},
        **{"dom": "domingo", "av": "avenida", "tel": "teléfono", "cel": "celular", "hr": "hora", "min": "minuto"},
    },
}
"""What short words stand for, by language."""


def search_forms(text: str, language: str) -> tuple[str, str]:
    """Return the text with accents, which Postgres needs for word forms, and without, as people type on phones."""
    text = unicodedata.normalize("NFC", text).casefold()
    text = f"{text} {' '.join(dict.fromkeys(_further(text, language)))}"
    if language == "pt":
        # Those that Postgres takes for other words: cartão, cartões; pão, pães.
        text = re.sub(r"(?:ões|ães|oes|aes)\b", "ão", text)
    return text, plain(text)


def _further(text: str, language: str) -> Iterator[str]:
    """Yield further words that the text could have been written with."""
    for match in COMPOUND.finditer(text):
        parts = WORD.findall(match[0])
        yield "".join(parts)
        yield from parts
    for match in ADDRESS.finditer(text):
        yield match[0].rpartition("@")[2]
    for match in WITH_UNIT.finditer(text):
        number, unit = (match[1], match[2]) if match[1] else (match[3], "%")
        yield f"{number}{unit}"
        yield f"{number} {unit}"
    for match in GROUPED.finditer(text):
        yield re.sub(r"[.,]", "", match[0])
    words = WORD.findall(text)
    for first, second in itertools.pairwise(words):
        if len(first) + len(second) <= LONGEST_JOINED:
            yield first + second
    short = SHORT.get(language, {})
    yield from (short[word] for word in words if word in short)
