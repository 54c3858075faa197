"""Texts that contacts read where the manifest has none, by language."""

from collections.abc import Mapping

from graphs.config import language_code

Texts = Mapping[str, str]
"""A text by the code of its language. Other languages get the English one."""

NOT_TEXT: Texts = {
    "en": "I can only read text here.",
    "es": "Aquí solo puedo leer texto.",
    "pt": "Aqui só consigo ler texto.",
}
"""Said when a question for a text is answered with a voice note, a sticker, a photo or a place."""

HANDED_OVER: Texts = {
    "en": "Somebody from our team will go on from here.",
    "es": "Una persona de nuestro equipo continúa por aquí.",
    "pt": "Uma pessoa da nossa equipe continua por aqui.",
}
"""Said when a human takes over and nothing else was said."""

DONE: Texts = {
    "en": "Done so far: {done}.",
    "es": "Hecho hasta ahora: {done}.",
    "pt": "Feito até agora: {done}.",
}
"""What was done in a turn that could not be finished."""

SEND: Mapping[str, Texts] = {
    "image": {
        "en": "Please send a photo here.",
        "es": "Envía una foto por aquí, por favor.",
        "pt": "Envie uma foto por aqui, por favor.",
    },
    "audio": {
        "en": "Please send a voice message here.",
        "es": "Envía un audio por aquí, por favor.",
        "pt": "Envie um áudio por aqui, por favor.",
    },
    "file": {
        "en": "Please send the file here.",
        "es": "Envía el archivo por aquí, por favor.",
        "pt": "Envie o arquivo por aqui, por favor.",
    },
    "location": {
        "en": "Please share the location here: the paper clip, then Location.",
        "es": "Comparte la ubicación por aquí: el clip y luego Ubicación.",
        "pt": "Compartilhe a localização por aqui: o clipe, depois Localização.",
    },
}
"""Said when a question for one of these kinds is answered with something else."""


def in_language(texts: Texts, language: str) -> str:
    """Return the text in a language such as pt-BR."""
    return texts.get(language_code(language), texts["en"])
