"""Results that are shortened by their structure."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.kinds.result_shortening import json_text, shorten

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=60
)


def test_what_fits_stays_as_it_is() -> None:
    assert shorten({"a": [1, 2]}, 100) == ({"a": [1, 2]}, None)


def test_a_list_keeps_whole_items() -> None:
    assert shorten([{"name": "Ana"}] * 100, 100) == ([{"name": "Ana"}] * 5, "cut: the first 5 of 100")


def test_lists_and_texts_inside_are_shortened_where_they_are() -> None:
    answer = {"total": 300, "items": list(range(300)), "page": {"html": "é" * 3_000, "next": "abc"}}
    shortened, note = shorten(answer, 600)
    assert shortened["total"] == 300
    assert shortened["items"] == list(range(len(shortened["items"])))
    assert shortened["page"]["next"] == "abc"
    assert len(shortened["page"]["html"]) > 200, "the parts share what there is"
    assert note == (
        f"cut: /items: the first {len(shortened['items'])} of 300; "
        f"/page/html: the first {len(shortened['page']['html']) - 1} of 3000 characters"
    )


def test_a_first_item_that_is_too_large_is_shortened_itself() -> None:
    shortened, note = shorten([{"id": 1, "text": "x" * 900}, {"id": 2}], 120)
    assert shortened[0]["id"] == 1
    assert shortened[0]["text"].startswith("xxx")
    assert note is not None
    assert note.startswith("cut: the first 1 of 2; /0/text: the first")


def test_a_text_alone_has_no_quotes() -> None:
    assert shorten("x" * 200, 100) == ("x" * 100, "cut: the first 100 of 200 characters")


def test_only_some_places_are_named() -> None:
    _, note = shorten({f"k{number}": "x" * 200 for number in range(9)}, 500)
    assert note is not None
    assert note.endswith("; and 5 more places")


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(VALUES, st.integers(100, 400))
def test_every_value_becomes_valid_json_within_the_limit(value: Any, limit: int) -> None:
    shortened, note = shorten(value, limit)
    assert len(shortened if isinstance(value, str) else json_text(shortened)) <= limit
    assert (note is None) == (shortened == value)
    json.loads(json_text(shortened))


@pytest.mark.parametrize("levels", [3, 50])
def test_a_long_text_under_many_levels_is_found(levels: int) -> None:
    value: Any = {"text": "y" * 5_000}
    for _ in range(levels):
        value = {"a": value}
    shortened, _ = shorten(value, 1_000)
    assert "yyyy" in json_text(shortened)
