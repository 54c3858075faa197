"""Regular expressions of tenants, looked for in contacts' messages: in time that grows with the text, and no faster.

Python's own engine can be made to take for ever, and would hold up every other turn of its process.
"""

from pydantic_core import SchemaError, SchemaValidator, core_schema


class Pattern:
    """A regular expression that is looked for anywhere in a text; case does not matter. Raises ValueError."""

    def __init__(self, text: str) -> None:
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=f"(?i:{text})"))
        except SchemaError:
            raise ValueError(
                "not a regular expression that can be used here: no look-around, no back-references, not too large"
            ) from None

    def is_in(self, text: str) -> bool:
        """Whether the text holds it."""
        return self._validator.isinstance_python(text)
