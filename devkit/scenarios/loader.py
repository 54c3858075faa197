"""Reads scenarios, or says what is wrong with them by file, line and column."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from app.errors import RecadoError
from devkit.scenarios.schema import ScenarioFile
from manifest.yaml_source import Location, Problem, inside, path_of, position
from tools.names import nearest

FOLDER = "scenarios"
LARGEST_FILE = 256 * 1024
"""Bytes."""


class InvalidScenario(RecadoError):
    """The files do not make scenarios. `problems` names everything that is wrong with them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Scenario:
    """A scenario, the file it is from, and the model's script beside it."""

    path: Path
    document: ScenarioFile
    tree: CommentedMap

    @property
    def script(self) -> Path:
        """What the simulated model follows."""
        return self.path.parent / self.document.model

    def place(self, *where: int | str) -> str:
        """`file:line` of a part of the scenario, or of the innermost thing on the way there that exists."""
        return f"{self.path}:{position(self.tree, where)[0]}"


def load_folder(folder: Path, only: str | None = None) -> list[Scenario]:
    """The scenarios of a tenant's folder, by file name; `only` those whose name contains this text.

    Raises InvalidScenario, also when there are none.
    """
    files = sorted((folder / FOLDER).glob("*.yaml"))
    scripts = {file for file in files if _is_script(file)}
    chosen = [file for file in files if file not in scripts and (only is None or only in file.stem)]
    if not chosen:
        said = "no scenarios" if only is None else f"no scenario whose file's name contains {only!r}"
        raise InvalidScenario([Problem(str(folder / FOLDER), 1, 1, said)])
    problems: list[Problem] = []
    found: list[Scenario] = []
    for file in chosen:
        try:
            found.append(load(file))
        except InvalidScenario as error:
            problems += error.problems
    if problems:
        raise InvalidScenario(problems)
    return found


def load(path: Path) -> Scenario:
    """One scenario. Raises InvalidScenario."""
    tree = _parse(path)
    try:
        document = ScenarioFile.model_validate(_plain(tree))
    except ValidationError as error:
        raise InvalidScenario(_problem(path, tree, detail) for detail in _causes(error)) from None
    scenario = Scenario(path, document, tree)
    if not scenario.script.is_file():
        line, column = position(tree, ("model",))
        raise InvalidScenario(
            [Problem(str(path), line, column, f"there is no model script `{document.model}` beside it")]
        )
    return scenario


def _is_script(path: Path) -> bool:
    """Whether a file is a script for the model: those have rules, scenarios have steps."""
    return any(line.startswith("rules:") for line in path.read_text("utf-8", errors="replace").splitlines())


def _parse(path: Path) -> CommentedMap:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidScenario([Problem(str(path), 1, 1, f"larger than {LARGEST_FILE // 1024} KiB")])
        tree = YAML(typ="rt", pure=True, plug_ins=[]).load(path.read_text("utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidScenario([Problem(str(path), line, column, str(error.problem or "not YAML"))]) from None
    except (YAMLError, ValueError, OSError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidScenario([Problem(str(path), 1, 1, f"cannot be read: {reason}")]) from None
    if not isinstance(tree, CommentedMap):
        raise InvalidScenario([Problem(str(path), 1, 1, "expected a mapping that begins with `name:`")])
    return tree


def _plain(node: Any, depth: int = 0) -> Any:
    if depth > 12:
        return None
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value, depth + 1) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(item, depth + 1) for item in node]
    if isinstance(node, bool):
        return node
    return next((kind(node) for kind in (str, int, float) if isinstance(node, kind)), node)


def _causes(error: ValidationError) -> list[Any]:
    """What pydantic found. A list whose items are wrong counts as too short, too, which helps nobody."""
    found: list[Any] = error.errors(include_url=False)
    return [detail for detail in found if detail["type"] != "too_short"] or found


def _problem(path: Path, tree: CommentedMap, detail: Any) -> Problem:
    where, kind = _written(tree, tuple(detail["loc"])), detail["type"]
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        line, column = position(tree, where, of_key=True)
        name = str(where[-1])
        return Problem(str(path), line, column, f"unknown key `{name}`{nearest(name, _keys(where[:-1]))}")
    if kind == "missing":
        line, column = position(tree, where[:-1])
        return Problem(str(path), line, column, f"`{where[-1]}` is missing{inside(where[:-1])}")
    line, column = position(tree, where)
    return Problem(str(path), line, column, f"{path_of(where)}: {message}" if where else message)


def _written(tree: Any, where: Location) -> Location:
    """The location without what pydantic adds to it: a union's alternatives, a key that was not written."""
    node, path = tree, []
    for part in where:
        here = isinstance(node, CommentedMap) and part in node
        here = here or (isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node))
        if here:
            node = node[part]
            path.append(part)
        elif part == where[-1] and isinstance(node, CommentedMap):
            path.append(part)
    return tuple(path)


def _keys(where: Location) -> list[str]:
    """The keys that the schema allows at a place of the file."""
    model: Any = ScenarioFile
    for part in where:
        fields = _fields(model)
        annotation = next((field.annotation for name, field in fields.items() if part == name), None)
        model = next(_models(annotation), model if isinstance(part, int) else None)
    return [field.alias or name for name, field in _fields(model).items()]


def _fields(model: Any) -> dict[str, Any]:
    return dict(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else {}


def _models(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)
