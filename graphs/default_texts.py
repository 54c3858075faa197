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


TOO_LONG: Texts = {
    "en": "That is too long for me. Please write at most {} characters.",
    "es": "Es demasiado largo. Escribe como máximo {} caracteres, por favor.",
    "pt": "Ficou longo demais. Escreva no máximo {} caracteres, por favor.",
}
CHOOSE: Texts = {
    "en": "I did not understand. Please answer with one of these, or its number:",
    "es": "No entendí. Responde con una de estas opciones, o su número:",
    "pt": "Não entendi. Responda com uma destas opções, ou o número dela:",
}
"""Said before the numbered choices."""
EXPECTED: Mapping[str, Texts] = {
    "number": {
        "en": "I did not understand. Please write one number, such as 25.",
        "es": "No entendí. Escribe un número, por ejemplo 25.",
        "pt": "Não entendi. Escreva um número, por exemplo 25.",
    },
    "date": {
        "en": "I did not understand the date. Please write it with the month's name, such as December 31, 2026.",
        "es": "No entendí la fecha. Escríbela así: 31/12/2026.",
        "pt": "Não entendi a data. Escreva assim: 31/12/2026.",
    },
    "time": {
        "en": "I did not understand the time. Please write it like this: 2:30 pm.",
        "es": "No entendí la hora. Escríbela así: 14:30.",
        "pt": "Não entendi o horário. Escreva assim: 14:30.",
    },
    "email": {
        "en": "That does not look like an e-mail address. Please write it like this: ana@example.com.",
        "es": "No parece un correo electrónico. Escríbelo así: ana@ejemplo.com.",
        "pt": "Isso não parece um e-mail. Escreva assim: ana@exemplo.com.",
    },
    "phone": {
        "en": "I did not understand the number. Please write it with the area code, such as +55 11 99000-0001.",
        "es": "No entendí el número. Escríbelo con el prefijo, por ejemplo +55 11 99000-0001.",
        "pt": "Não entendi o número. Escreva com o DDD, por exemplo (11) 99000-0001.",
    },
    "cpf": {
        "en": "That is not a valid CPF. Please check its 11 digits, as in 529.982.247-25.",
        "es": "Ese CPF no es válido. Revisa sus 11 dígitos, como en 529.982.247-25.",
        "pt": "Esse CPF não confere. Veja os 11 dígitos, como em 529.982.247-25.",
    },
    "cnpj": {
        "en": "That is not a valid CNPJ. Please check its 14 characters, as in 11.222.333/0001-81.",
        "es": "Ese CNPJ no es válido. Revisa sus 14 caracteres, como en 11.222.333/0001-81.",
        "pt": "Esse CNPJ não confere. Veja os 14 caracteres, como em 11.222.333/0001-81.",
    },
    "cpf_cnpj": {
        "en": "That is not a valid CPF or CNPJ. Please check it, as in 529.982.247-25 or 11.222.333/0001-81.",
        "es": "No es un CPF o CNPJ válido. Revísalo, como en 529.982.247-25 o 11.222.333/0001-81.",
        "pt": "Esse CPF ou CNPJ não confere. Veja os números, como em 529.982.247-25 ou 11.222.333/0001-81.",
    },
    "cep": {
        "en": "I did not understand the CEP. Please write its 8 digits, such as 01310-100.",
        "es": "No entendí el CEP. Escribe sus 8 dígitos, por ejemplo 01310-100.",
        "pt": "Não entendi o CEP. Escreva os 8 dígitos, por exemplo 01310-100.",
    },
}
"""Said when an answer is not of the kind that a question expects."""


def in_language(texts: Texts, language: str) -> str:
    """Return the text in a language such as pt-BR."""
    return texts.get(language_code(language), texts["en"])
