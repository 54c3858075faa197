"""Read scenarios from files, and report every problem with its file and line."""

from dataclasses import dataclass
from pathlib import Path

from devkit.scenarios.schema import ScenarioFile
from manifest.yaml_source import InvalidFiles, Problem, YamlDocument, read_text

FOLDER = "scenarios"


@dataclass(frozen=True)
class Scenario:
    """A scenario and the file that it was read from."""

    path: Path
    document: ScenarioFile
    source: YamlDocument

    @property
    def script(self) -> Path:
        """Return the file with the simulated model's answers."""
        return self.path.parent / self.document.model

    def place(self, *where: int | str) -> str:
        """Return `file:line` of a value, or of the innermost parent that exists."""
        return f"{self.path}:{self.source.position(where)[0]}"


def load_folder(folder: Path, only: str | None = None) -> list[Scenario]:
    """Return the scenarios of a tenant's folder, sorted by file name. `only` is a text that the file names contain.

    Raises InvalidFiles when a file is not valid, or when there is no scenario.
    """
    files = sorted((folder / FOLDER).glob("*.yaml"))
    scripts = {file for file in files if _is_script(file)}
    chosen = [file for file in files if file not in scripts and (only is None or only in file.stem)]
    if not chosen:
        message = "no scenarios" if only is None else f"no scenario whose file's name contains {only!r}"
        raise InvalidFiles([Problem(FOLDER, 1, 1, message)])
    problems: list[Problem] = []
    scenarios: list[Scenario] = []
    for file in chosen:
        try:
            scenarios.append(load(file))
        except InvalidFiles as error:
            problems += error.problems
    if problems:
        raise InvalidFiles(problems)
    return scenarios


def load(path: Path) -> Scenario:
    """Return the scenario of a file. Raises InvalidFiles."""
    source = YamlDocument.parse(read_text(path), f"{FOLDER}/{path.name}")
    # A contact may send a lone surrogate, which a manifest must not contain.
    document = source.validate(ScenarioFile, storable=False)
    scenario = Scenario(path, document, source)
    if not scenario.script.is_file():
        message = f"there is no model script `{document.model}` beside it"
        raise InvalidFiles([source.problem(("model",), message)])
    return scenario


def _is_script(path: Path) -> bool:
    """Return whether a file is a script for the model. Scripts have `rules`, scenarios have `steps`."""
    return any(line.startswith("rules:") for line in path.read_text("utf-8", errors="replace").splitlines())
