"""Detect the language of a contact's text, for rules that ask for one."""

from collections.abc import Iterable
from copy import copy
from functools import lru_cache
from typing import Any

from graphs.config import Assistant, language_code


class Languages:
    """Distinguishes the assistant's language and those that its rules name. Texts are too short to consider others."""

    def __init__(self, assistant: Assistant) -> None:
        named = {rule.language for rule in assistant.rules if rule.language is not None}
        self._own = language_code(assistant.language)
        self._candidates = tuple(sorted(named | {self._own})) if named else ()

    def of(self, text: str) -> str | None:
        """Return the language's code. None when no rule asks, or the text has no words.

        An ambiguous text, such as "ok", is in the assistant's language.
        """
        if not self._candidates or not any(character.isalpha() for character in text):
            return None
        ranked = _identifier(self._candidates).rank(text)
        undecided = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
        return self._own if undecided else str(ranked[0][0])


def unknown(codes: Iterable[str]) -> list[str]:
    """Return the codes of languages that cannot be detected."""
    return [code for code in codes if code not in known()]


def known() -> frozenset[str]:
    """Return the codes of the languages that can be detected. The first call takes half a second."""
    return frozenset(_all().labels)


@lru_cache(maxsize=32)
def _identifier(candidates: tuple[str, ...]) -> Any:
    identifier = copy(_all())
    identifier.set_languages([code for code in candidates if code in known()])
    return identifier


@lru_cache(maxsize=1)
def _all() -> Any:
    # Imported at the first use, because its tables take 20 MB and half a second. The manifest's check calls this first,
    # in a thread, so that no turn waits for it.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415

    return LanguageIdentifier.from_model_file(MODEL_FILE)
