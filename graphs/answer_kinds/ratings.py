"""Find the rating from 1 to 5 in what a contact says after the goodbye."""

import re

from graphs.answer_kinds.number_words import WORDS
from graphs.answer_kinds.wording import simple, words_of

LONGEST = 300
"""The number of characters of a line with a rating."""
STARS = "⭐🌟★"
_ONE_TO_FIVE = {word: value for table in WORDS.values() for word, value in table.items() if 1 <= value <= 5}
VALUES = {**_ONE_TO_FIVE, **{str(number): number for number in range(1, 6)}}
# Each word once: with two ways to read a word, a long text would take exponential time.
_LEAD = words_of(
    "eu minha a e eh o foi um uma com certeza de acho que i it an my the is was would le mi la es un una nota dou "
    "daria dei doy avaliacao avalio merece merecem merecia mereceu give rate rating rated score deserves puntuacion "
    "calificacion califico estrela estrelas"
)
LEAD = f"(?:{'|'.join(sorted(_LEAD))})"
"""Words before a rating that do not change it."""
STRONG = re.compile(
    r"(?<!\w)(?:nota|dou|daria|dei|doy|avaliacao|avalio|merece\w*|mereci\w*|give|rat(?:e|ing|ed)|score|deserves|puntuacion|calific\w+)"
    r"(?!\w)"
)
"""Words that say that a number is a rating."""
NUMBER = re.compile(
    rf"(?P<lead>(?:{LEAD}[ :=]+)*)(?P<value>{'|'.join(sorted(VALUES, key=len, reverse=True))})(?![\w])"
    r"(?P<scale> ?/ ?5(?!\d)| (?:de|out of|sobre) (?:5|five|cinco)(?!\w))?"
    r"(?P<unit> ?(?:estrelinhas?|estrelas?|estrellas?|stars?)(?!\w))?(?P<mark> ?[,.;:!…-]+)?(?P<rest>.*)"
)
TOP = re.compile(
    rf"(?:{LEAD} )*(?:nota (?:10|dez|mil|1000|maxima)|(?:pontuacao|puntuacion|calificacion) maxima|maxima|10 ?/ ?10|"
    r"10 (?:de|out of|sobre) 10|a? ?melhor nota|la mejor nota|full marks|top (?:marks|score|rating)|maximum|"
    r"highest rating)(?P<rest>(?!\w).*)"
)
BOTTOM = re.compile(rf"(?:{LEAD} )*(?:nota|puntuacion|calificacion) minima(?P<rest>(?!\w).*)")
EITHER = r"(?:ou|e|or|and|o|y)"
UNDECIDED = re.compile(
    rf"(?:entre |between )?(?:{LEAD} )*[1-5](?:[.,]5| ?/ ?[1-4](?! ?/)|(?: ?- ?| {EITHER} )[1-5])"
    rf"|(?:{LEAD} )*nota (?:\d{{1,4}}[.,]\d|[06-9]|\d{{2,4}})"
)
"""Two ratings, or one of another scale, and nothing else."""
THANKS = words_of(
    "obrigado obrigada obrigadao obg obgd brigado brigada agradeco agradecido agradecida agradecemos grato grata "
    "gratidao valeu vlw tmj thanks thank thx ty gracias tks"
)
PRAISE = words_of(
    "otimo otima otimos otimas excelente excelentes perfeito perfeita maravilhoso maravilhosa maravilha show top "
    "gostei adorei amei legal bacana parabens satisfeito satisfeita great excellent perfect awesome amazing nice "
    "loved perfecto perfecta genial encanto maximo"
)
ASSENTS = words_of(
    "ok okay blz beleza certo joia combinado entendi igualmente imagina disponha de nada sim claro tchau bye "
    "adios yes si abraco abracos beijo beijos bjs ate logo mais breve see you hasta luego kkk haha"
)
BESIDE_THANKS = words_of(
    "muito muita muitos mto super demais mesmo tudo bem rapido rapida atencioso atenciosa atendimento atendida "
    "atendido atendente servico equipe ajuda ajudou pela pelo por para pra toda todo o a os as da do das dos e em "
    "foi fui esta ta nossa sua seu voces voce vc vcs eu que sempre amor querida querido gente moca moco um uma "
    "dia tarde noite semana fim final bom boa deus fica abencoe very much so for your the service help fast was "
    "it all have day night week weekend i me my muchas muchisimas muy buen bueno buena buenas dias tardes noches "
    "atencion su la el gusto lo"
)
FEEDBACK = words_of(
    "nao no not mas but demorou demora demorado lento lenta ruim pessimo pessima regular razoavel horrivel fraco "
    "fraca poderia podia pode ser melhor melhorar bad slow could be better malo mala podria mejor mejorar porque "
    "pois"
)
"""Words that say no more than the rating beside them."""
GOOD = re.compile(
    r"(?<!\w)(?:bom|boa|bem|good|buen[ao]?)"
    r"(?! +(?:dia|tarde|noite|fim|final|semana|day|night|evening|morning|noche))(?!\w)"
)
"""A word of praise that also begins greetings."""
DECLINED = re.compile(
    r"(?:agora )?(?:nao|no)(?: quero| prefiro)?(?: avaliar| responder)?(?: agora)?|prefiro nao(?: avaliar| responder)?"
)


def rating_in(said: str) -> tuple[int | None, bool]:
    """Return the rating in a text, and whether the text says something else: "tem horário dia 3?" is no rating.

    Thanks, praise and emoji are neither.
    """
    found: int | None = None
    more = False
    for line in said.splitlines():
        rating, says_more = _rating_of_line(simple(line)) if len(line) <= LONGEST else (None, True)
        found = found if rating is None else rating
        more = more or says_more
    return found, more


def _rating_of_line(words: str) -> tuple[int | None, bool]:
    stars = sum(words.count(star) for star in STARS)
    text = re.sub(r"[^\w/,.;:!?…=-]+", " ", words).strip(" .,;:!-")
    if stars and not re.search(r"\d", text):
        return (stars, not _is_comment(text)) if stars <= 5 else (None, not _is_polite(text))
    for pattern, rating in ((TOP, 5), (BOTTOM, 1)):
        if match := pattern.fullmatch(text):
            return rating, not _is_comment(match["rest"])
    if UNDECIDED.fullmatch(text):
        return None, False
    match = NUMBER.fullmatch(text) or _within_thanks(text)
    if match is None or re.match(r"\W*\d", match["rest"]) or match["rest"].lstrip().startswith("/"):
        return None, not _is_polite(text)
    rating = VALUES[match["value"]]
    if stars > 1 and stars != rating:
        return None, not _is_polite(match["rest"])
    # "5 (cinco)" says it twice.
    repeated = "|".join(word for word, value in VALUES.items() if value == rating)
    comment = _is_comment(re.sub(rf"^\W*(?:{repeated})$", "", match["rest"]))
    said = match["scale"] or match["unit"] or STRONG.search(match["lead"])
    certain = comment or said or (match["value"].isdigit() and match["mark"])
    return (rating, not comment) if certain else (None, True)


def _within_thanks(text: str) -> re.Match[str] | None:
    """Return the rating of the only clause that is no comment: "Obrigada! Nota 5"."""
    clauses = [clause for clause in re.split(r"[.,;:!…-]+ ", text) if not _is_comment(clause)]
    return NUMBER.fullmatch(clauses[0]) if len(clauses) == 1 else None


def _is_polite(text: str) -> bool:
    """Return whether a text is thanks, praise, a refusal to rate, or nothing."""
    words = set(re.findall(r"\w+", GOOD.sub("otimo", text)))
    if "?" in text:
        return False
    if words <= ASSENTS | THANKS or DECLINED.fullmatch(" ".join(re.findall(r"\w+", text))):
        return True
    if words & {"nao", "no"}:
        return words <= THANKS | {"nao", "no"}
    return bool(words & (THANKS | PRAISE)) and words <= THANKS | PRAISE | ASSENTS | BESIDE_THANKS


def _is_comment(text: str) -> bool:
    """Return whether a text beside a rating says no more than the rating."""
    words = set(re.findall(r"\w+", text))
    return "?" not in text and words <= THANKS | PRAISE | ASSENTS | BESIDE_THANKS | FEEDBACK
