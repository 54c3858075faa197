"""The types of values in assistant.yaml."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError

from graphs.providers import PROVIDERS

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
