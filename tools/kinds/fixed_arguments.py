"""Arguments that the tenant fixes under `with`, and that no model is told of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.kinds.http import HttpRequest, RequestMaker
from tools.kinds.templates import Body, body_templates, fill_body
from tools.names import nearest

LATER = "given later"


class FixedProblem(ValueError):
    """The schema has no argument of this name. `where` is its place under `with`."""

    def __init__(self, where: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True)
class FixedArguments:
    """The fixed arguments, as texts with placeholders for secrets and trusted values."""

    body: Mapping[str, Body]

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that they use."""
        return frozenset().union(*(text.secrets for text in body_templates(dict(self.body))))

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that they use."""
        return frozenset().union(*(text.trusted for text in body_templates(dict(self.body))))

    def added_to(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments with the fixed ones, which replace others. Trusted values are among the arguments."""
        return _merged(arguments, fill_body(dict(self.body), arguments, secrets))


@dataclass(frozen=True)
class FixedRequest:
    """A maker of requests whose arguments are partly fixed."""

    maker: RequestMaker
    fixed: FixedArguments

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the requests hold."""
        return self.maker.secrets | self.fixed.secrets

    @property
    def trusted(self) -> frozenset[str]:
        """The names of the trusted values that the requests hold."""
        return self.maker.trusted | self.fixed.trusted

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments if a request cannot hold the arguments."""
        self.maker.check(self.fixed.added_to(arguments, dict.fromkeys(self.fixed.secrets, LATER)))

    def request(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Return the request for these arguments. Raises InvalidArguments, Unreachable."""
        return self.maker.request(self.fixed.added_to(arguments, secrets), secrets)


def without_fixed(schema: Mapping[str, Any], fixed: Any, where: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema without the arguments that are fixed. Raises FixedProblem for one that it does not have."""
    properties = dict(schema.get("properties", {}))
    required = list(schema.get("required", ()))
    for name, value in fixed.items():
        if name not in properties:
            raise FixedProblem((*where, name), f"there is no argument `{name}`{nearest(name, properties)}")
        inner = properties[name]
        if isinstance(value, Mapping) and isinstance(inner, Mapping) and inner.get("properties"):
            properties[name] = without_fixed(inner, value, (*where, name))
            if properties[name]["properties"]:
                continue
        del properties[name]
        required = [each for each in required if each != name]
    return {**schema, "properties": properties, "required": required}


def _merged(arguments: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(arguments)
    for name, value in fixed.items():
        given = merged.get(name)
        merged[name] = _merged(given, value) if isinstance(given, Mapping) and isinstance(value, Mapping) else value
    return merged
