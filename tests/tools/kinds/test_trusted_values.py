"""Values that no model can set, in texts of every kind."""

import pytest

from tools.kinds.templates import TemplateProblem, parse_body_template, parse_template, parse_url_template
from tools.kinds.trusted_values import TRUSTED, trusted_arguments
from tools.ports import Unreachable


@pytest.mark.parametrize("name", [*TRUSTED, "verified.customer_id"])
def test_each_has_a_place_in_every_text(name: str) -> None:
    text = f"${{{name}}}"
    assert parse_template(text).trusted == {name}
    assert parse_url_template(f"https://a.example/{text}/x?q={text}").trusted == {name}
    body = parse_body_template({"a": [text]})
    assert isinstance(body, dict)
    assert parse_template(text).arguments == frozenset(), "no parameter of a model is meant"


def test_an_unknown_one_is_shown_with_those_that_there_are() -> None:
    with pytest.raises(TemplateProblem) as raised:
        parse_template("Bearer ${contact.number}")
    assert str(raised.value).startswith("`${contact.number}` is none of `${secret:NAME}`, `${contact.phone}`")


def test_what_identifies_must_be_known() -> None:
    known = {"contact.phone": "+55", "verified.id": "7"}
    assert trusted_arguments(frozenset(known), known) == known
    assert trusted_arguments(frozenset({"contact.name", "contact.tags"}), known) == {
        "contact.name": None,
        "contact.tags": None,
    }
    for name, reason in (
        ("verified.other", "other has not been verified"),
        ("channel.phone", "channel.phone is not known"),
    ):
        with pytest.raises(Unreachable, match=reason) as raised:
            trusted_arguments(frozenset({name}), known)
        assert not raised.value.sent
