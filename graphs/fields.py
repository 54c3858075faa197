"""The types of values in assistant.yaml."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError

from graphs.providers import PROVIDERS

LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: Any) -> Any:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 500ms, 2s, 30m, 24h or 7d")
    return float(match[1]) * UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds, written as 2s, 30m, 24h or 7d."""

COUNTS = {"": 1, "k": 1_000, "M": 1_000_000}


def _count(value: Any) -> Any:
    match = re.fullmatch(r"(\d{1,9})([kM]?)", str(value)) if isinstance(value, int | str) else None
    if match is None:
        raise ValueError("expected a count such as 2000, 500k or 5M")
    return int(match[1]) * COUNTS[match[2]]


Count = Annotated[int, BeforeValidator(_count)]
"""A whole number, written as 2000, 500k or 5M."""

NAME = r"^[a-z][a-z0-9_]{0,39}$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1, max_length=1600)]


def _provider(value: str) -> str:
    if value not in PROVIDERS:
        names = [repr(name) for name in PROVIDERS]
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(names[:-1])} or {names[-1]}"})
    return value


ProviderName = Annotated[str, AfterValidator(_provider), Field(json_schema_extra={"enum": list(PROVIDERS)})]
"""The name of a provider in the table."""


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def json_values(value: dict[str, Any]) -> dict[str, Any]:
    """Return the value. Raises ValueError for what JSON cannot say, such as a date without quotes."""
    for found in _scalars(value):
        if isinstance(found, float) and not math.isfinite(found):
            raise ValueError(f"expected a number that JSON can say, not {found}")
        if isinstance(found, int) and not LEAST_INTEGER <= found <= MOST_INTEGER:
            raise ValueError("expected an integer of 64 bits at most: write a longer one in quotes")
        if found is not None and not isinstance(found, str | bool | int | float):
            raise ValueError(f"expected a value that JSON has: write {found} in quotes")
    return value


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    else:
        yield value
