"""The table of JSON Schema's keywords in the reference."""

import re

from graphs.providers import PROVIDERS
from graphs.providers.keywords import treatment
from manifest.keyword_reference import keyword_table
from tools.kinds.json_schema import KEYWORDS, UNSUPPORTED_KEYWORDS


def test_each_keyword_stands_in_one_line_of_the_table() -> None:
    rows = [line for line in keyword_table() if line.startswith("| `")]
    named = [keyword for row in rows for keyword in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(set(named))
    assert {*KEYWORDS, *UNSUPPORTED_KEYWORDS, "$ref"} <= set(named)
    assert {row.count("|") for row in rows} == {len(PROVIDERS) + 2}


def test_the_table_says_what_is_done() -> None:
    (row,) = [line for line in keyword_table() if "`multipleOf`" in line]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        treatment("multipleOf", provider.dialect) for provider in PROVIDERS.values()
    ]
