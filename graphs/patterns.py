"""Match texts: with tenants' regular expressions, and without case and accents."""

import unicodedata

from pydantic_core import SchemaError, SchemaValidator, core_schema


class Pattern:
    """A tenant's regular expression, which ignores case and matches anywhere in a text. Raises ValueError.

    It takes linear time. Python's own engine can take exponential time, and would block every other turn.
    """

    def __init__(self, text: str) -> None:
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=f"(?i:{text})"))
        except SchemaError:
            raise ValueError(
                "not a regular expression that can be used here: no look-around, no back-references, not too large"
            ) from None

    def is_in(self, text: str) -> bool:
        """Return whether the text contains a match."""
        return self._validator.isinstance_python(text)


def plain(text: str) -> str:
    """Return the text without case and accents, for matching."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
