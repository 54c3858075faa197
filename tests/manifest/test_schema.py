"""The values of the YAML that are more than text and numbers."""

from datetime import time
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from graphs.fields import Duration
from graphs.sections import ModelSpec
from manifest.schema import CalendarSection, LifecycleSection, Manifest

DURATION: TypeAdapter[float] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0s", 0.0),
        ("2s", 2.0),
        ("1.5s", 1.5),
        ("30m", 1800.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
        ("0.125h", 450.0),
    ],
)
def test_a_duration_is_held_in_seconds(text: str, seconds: float) -> None:
    assert DURATION.validate_python(text) == seconds


@pytest.mark.parametrize(
    "value",
    [5, 5.0, True, None, "", "5", "s", "5 s", " 5s", "5s ", "5S", "-5s", "1h30m", "1e3s", "5sec", ".5s", "∞s", []],
)
def test_anything_else_is_no_duration(value: Any) -> None:
    with pytest.raises(ValidationError, match="expected a duration such as 500ms, 2s, 30m, 24h or 7d"):
        DURATION.validate_python(value)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        (LifecycleSection, {"debounce": "61s"}),
        (LifecycleSection, {"debounce_cap": "6m"}),
        (LifecycleSection, {"idle": "500ms"}),
        (ModelSpec, {"provider": "openai", "model": "m", "timeout": "500ms"}),
        (ModelSpec, {"provider": "openai", "model": "m", "timeout": "61s"}),
        (ModelSpec, {"provider": "openai", "model": "m", "temperature": 2.1}),
        (ModelSpec, {"provider": "openai", "model": "m", "max_tokens": 1}),
        (CalendarSection, {"days": "mon", "hours": "08:00-09:00", "slot": "4m"}),
        (CalendarSection, {"days": "mon", "hours": "08:00-09:00", "slot": "25h"}),
    ],
)
def test_values_have_bounds(section: Any, value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        section.model_validate(value)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", (0,)),
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("mon-sun", (0, 1, 2, 3, 4, 5, 6)),
        ("sat,mon,wed", (0, 2, 5)),
        ("Mon - Wed , fri", (0, 1, 2, 4)),
        ("mon-wed,tue-thu", (0, 1, 2, 3)),
        ("sun-sun", (6,)),
    ],
)
def test_days_are_numbers_in_order(text: str, days: tuple[int, ...]) -> None:
    assert CalendarSection.model_validate({"days": text, "hours": "08:00-09:00"}).days == days


@pytest.mark.parametrize("value", ["", "lundi", "mon-", "-fri", "mon--fri", "mon-tue-wed", "1-5", 1, None, ["mon"]])
def test_anything_else_is_no_day(value: Any) -> None:
    with pytest.raises(ValidationError, match="expected days such as mon-fri or mon,wed,sat"):
        CalendarSection.model_validate({"days": value, "hours": "08:00-09:00"})


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [("08:00-18:30", time(8), time(18, 30)), ("00:00-23:59", time(0), time(23, 59))],
)
def test_hours_are_times(text: str, opens: time, closes: time) -> None:
    assert CalendarSection.model_validate({"days": "mon", "hours": text}).hours == (opens, closes)


@pytest.mark.parametrize("value", ["08:00-24:01", "08:60-09:00", "08:00 + 18:00", "08:00", "", 8, None])
def test_anything_else_are_no_hours(value: Any) -> None:
    with pytest.raises(ValidationError, match='expected hours such as "08:00-18:00"'):
        CalendarSection.model_validate({"days": "mon", "hours": value})


@pytest.mark.parametrize("text", ["18:00-08:00", "20:00-02:00"])
def test_a_day_ends_after_it_began(text: str) -> None:
    with pytest.raises(ValidationError, match="closes before it opens"):
        CalendarSection.model_validate({"days": "mon", "hours": text})


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "UTC", "Europe/Lisbon", "Asia/Kathmandu"])
def test_a_time_zone_is_one_of_the_iana_database(zone: str) -> None:
    assert document(timezone=zone).timezone == zone


@pytest.mark.parametrize("zone", ["", "Sao_Paulo", "America", "GMT+25", "/etc/localtime", "../UTC", "a\x00b", "UTC\n"])
def test_anything_else_is_no_time_zone(zone: str) -> None:
    with pytest.raises(ValidationError, match="expected a time zone of the IANA database"):
        document(timezone=zone)


@pytest.mark.parametrize("language", ["pt", "pt-BR", "es", "fil"])
def test_a_language_is_a_code(language: str) -> None:
    assert document(language=language).language == language


@pytest.mark.parametrize("language", ["PT", "pt_BR", "pt-br", "português", "pt-BR\n", ""])
def test_anything_else_is_no_language(language: str) -> None:
    with pytest.raises(ValidationError, match="language"):
        document(language=language)


@pytest.mark.parametrize("name", ["agenda", "a", "a1_b", "a" * 40])
def test_an_agents_name_is_a_word_that_models_can_repeat(name: str) -> None:
    assert list(document(agents={name: {"description": "d", "prompt": "p"}}).agents) == [name]


@pytest.mark.parametrize("name", ["", "Agenda", "1a", "a-b", "a b", "agênda", "a" * 41, "a\n"])
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        document(agents={name: {"description": "d", "prompt": "p"}})


def document(**changes: Any) -> Manifest:
    """The smallest valid document, changed."""
    least = {
        "name": "n",
        "language": "es",
        "models": {"default": {"provider": "openai", "model": "m"}},
        "agents": {"a": {"description": "d", "prompt": "p"}},
        "apology": "a",
    }
    return Manifest.model_validate({**least, **changes})
