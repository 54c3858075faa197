"""Routing rules, which need no model. `Rule` is also the section of assistant.yaml: it needs no compilation."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from graphs.fields import Section
from graphs.patterns import Pattern, plain


@dataclass(frozen=True)
class RuleInput:
    """The input of routing rules: the contact's text, a pressed button's payload, and the circumstances."""

    text: str
    button: str | None = None
    language: str | None = None
    outside_hours: bool = False
    first_message: bool = False
    tags: frozenset[str] = frozenset()


def _regex(value: str | None) -> str | None:
    if value is not None:
        Pattern(value)
    return value


CONDITIONS = ("match", "regex", "button", "language", "outside_hours", "first_message", "tag")


class Rule(Section):
    """A route that needs no model. Every condition that it names must hold."""

    match: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(description="Any of these words or phrases in the message; case and accents do not matter."),
    ] = ()
    regex: Annotated[
        str | None,
        Field(
            min_length=1, max_length=300, description="A regular expression found in the message; case does not matter."
        ),
        AfterValidator(_regex),
    ] = None
    button: Annotated[
        str | None,
        Field(min_length=1, max_length=256, description="The pressed button's payload; `*` stands for anything."),
    ] = None
    language: Annotated[
        str | None, Field(pattern=r"^[a-z]{2}$", description="The message's language, as two letters.")
    ] = None
    outside_hours: Annotated[bool | None, Field(description="Whether it is outside of `hours`.")] = None
    first_message: Annotated[bool | None, Field(description="Whether this is the first turn of the conversation.")] = (
        None
    )
    tag: Annotated[str | None, Field(min_length=1, max_length=60, description="A tag of the contact.")] = None
    to: Annotated[str, Field(description="An agent, a flow, `handoff` or `close`.")]

    def applies(self, rule_input: RuleInput) -> bool:
        """Return whether the rule matches. `match` ignores case and accents; `regex` ignores case."""
        return (
            (not self.match or (self._words is not None and self._words.search(plain(rule_input.text)) is not None))
            and (self._pattern is None or self._pattern.is_in(rule_input.text))
            and (self.button is None or (rule_input.button is not None and fnmatchcase(rule_input.button, self.button)))
            and (self.language is None or self.language == rule_input.language)
            and (self.outside_hours is None or self.outside_hours == rule_input.outside_hours)
            and (self.first_message is None or self.first_message == rule_input.first_message)
            and (self.tag is None or self.tag in rule_input.tags)
        )

    @property
    def why(self) -> str:
        """The rule in a few words, for the turn's record."""
        named = {
            "words": ", ".join(self.match) or None,
            "regex": self.regex,
            "button": self.button,
            "language": self.language,
            "outside hours": self.outside_hours,
            "first message": self.first_message,
            "tag": self.tag,
        }
        return "; ".join(f"{name}: {value}" for name, value in named.items() if value is not None)

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        choices = "|".join(re.escape(word) for word in map(plain, self.match) if word.strip())
        return re.compile(rf"(?<!\w)(?:{choices})(?!\w)") if choices else None

    @cached_property
    def _pattern(self) -> Pattern | None:
        return Pattern(self.regex) if self.regex else None

    @model_validator(mode="after")
    def _says_when(self) -> "Rule":
        if all(getattr(self, name) in (None, ()) for name in CONDITIONS):
            raise ValueError(f"a rule needs a condition: {', '.join(f'`{name}`' for name in CONDITIONS)}")
        return self
