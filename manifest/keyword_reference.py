"""Generate the reference of JSON Schema's keywords in the parameters of tools, by provider."""

from collections.abc import Iterator

from graphs.providers import PROVIDERS
from graphs.providers.keywords import LEFT_OUT, NOTES, REPLACED, TOP_LEVEL, treatment
from tools.kinds.json_schema import KEYWORDS, UNSUPPORTED_KEYWORDS

INTRODUCTION = """## Parameters of tools

JSON Schema of a tool's `parameters`, and of OpenAPI's operations. Arguments are always checked against the whole
schema, whatever a provider is given of it. What a provider does not accept as a keyword is written into the description
next to it, which its model reads."""

NOTES_BELOW = """`replaced`: by what it refers to. `left out`: it says nothing about arguments. `refused`: `check`
names the place and the reason. An array without `items` is sent as an array of anything, and a required property that
is not named as one that may be anything. At the top level {} are told in words to every provider.
A description of more than 1024 characters is sent with the parameters. An agent has at most 128 tools."""


def keyword_table() -> Iterator[str]:
    """Yield the lines of the table. Keywords that all providers treat alike share a line."""
    yield from (INTRODUCTION, "")
    yield f"| keyword | {' | '.join(PROVIDERS)} |"
    yield "|---" * (len(PROVIDERS) + 1) + "|"
    lines: dict[tuple[str, ...], list[str]] = {}
    for keyword in dict.fromkeys([*KEYWORDS, *REPLACED, *LEFT_OUT, *UNSUPPORTED_KEYWORDS]):
        lines.setdefault(tuple(_cells(keyword)), []).append(f"`{keyword}`")
    for cells, keywords in lines.items():
        yield f"| {', '.join(keywords)} | {' | '.join(cells)} |"
    yield from ("", NOTES_BELOW.format(", ".join(f"`{keyword}`" for keyword in TOP_LEVEL)), "")


def _cells(keyword: str) -> Iterator[str]:
    for provider in PROVIDERS.values():
        yield NOTES.get((keyword, provider.dialect)) or treatment(keyword, provider.dialect)
