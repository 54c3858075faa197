"""Compile the templates of scripts once, as sandboxed Jinja, and render them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Template, nodes
from jinja2.environment import TemplateExpression
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment

from devkit.simulators.llm import codec

type Variables = Mapping[str, object]

_WEEKDAYS = (
    r"(?:segunda|ter[çc]a|quarta|quinta|sexta)(?:-feira)?|s[áa]bado|domingo"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|lunes|martes|mi[ée]rcoles|jueves|viernes"
)
_DATE = re.compile(
    r"\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}(?:/\d{2,4})?|dia \d{1,2}(?: de \w+)?"
    r"|depois de amanh[ãa]|amanh[ãa]|hoje|pasado mañana|mañana|hoy|(?:day after )?tomorrow|today"
    rf"|{_WEEKDAYS})\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"\b(?:[01]?\d|2[0-3])(?::[0-5]\d|h(?:[0-5]\d)?)\b")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")


def _search(value: object, pattern: str) -> str | None:
    found = re.search(pattern, str(value))
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


def _first_date(value: object) -> str | None:
    found = _DATE.search(str(value))
    return found[0] if found else None


def _first_time(value: object) -> str | None:
    found = _TIME.search(str(value))
    return found[0] if found else None


def _first_number(value: object) -> int | float | None:
    found = _NUMBER.search(str(value))
    if found is None:
        return None
    number = found[0].replace(",", ".")
    return float(number) if "." in number else int(number)


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(autoescape=False, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "first_date": _first_date,
        "first_time": _first_time,
        "first_number": _first_number,
        "search": _search,
        "tojson": codec.text,
    }
    return environment


_jinja = _environment()


def _plain(value: Any) -> object:
    if value is None or isinstance(value, str | int | float | dict | list):
        return value
    return list(value) if isinstance(value, Iterable) else str(value)


class TextTemplate:
    """A template that yields text."""

    __slots__ = ("_template",)

    def __init__(self, template: Template) -> None:
        self._template = template

    def __call__(self, variables: Variables) -> object:
        return self._template.render(variables)


class ValueTemplate:
    """A single `{{ … }}`. It yields the value itself: a number as a number, a list as a list."""

    __slots__ = ("_expression",)

    def __init__(self, expression: TemplateExpression) -> None:
        self._expression = expression

    def __call__(self, variables: Variables) -> object:
        return _plain(self._expression(variables))


def compile_template(source: str, names: set[str]) -> TextTemplate | ValueTemplate | str:
    """Return the template in a text, or the text if it has none. Raises TemplateSyntaxError.

    The variables that the template reads are added to `names`.
    """
    if "{{" not in source and "{%" not in source and "{#" not in source:
        return source
    tree = _jinja.parse(source)
    names |= find_undeclared_variables(tree) - _jinja.globals.keys()
    stripped = source.strip()
    if _is_expression(tree) and stripped.startswith("{{"):
        return ValueTemplate(_jinja.compile_expression(_inside(stripped)))
    return TextTemplate(_jinja.from_string(source))


def _inside(source: str) -> str:
    """Return the expression between the braces, without the marks of whitespace control."""
    inside = source[2:-2]
    inside = inside[1:] if inside[0] in "-+" else inside
    return inside[:-1] if inside[-1] in "-+" else inside


def _is_expression(tree: nodes.Template) -> bool:
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return False
    return len([part for part in tree.body[0].nodes if not _is_blank(part)]) == 1


def _is_blank(part: nodes.Expr) -> bool:
    return isinstance(part, nodes.TemplateData) and not part.data.strip()


def render(value: object, variables: Variables) -> object:
    """Return a value of a script with all its templates evaluated."""
    if isinstance(value, TextTemplate | ValueTemplate):
        return value(variables)
    if isinstance(value, dict):
        return {key: render(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, variables) for item in value]
    return value
