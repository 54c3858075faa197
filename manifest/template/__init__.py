"""The template of a new tenant's folder. It is valid as it is."""

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from manifest.reference import json_schema

LANGUAGES = ("pt-BR", "en")
SCHEMA_FILE = "assistant.schema.json"


def write(folder: Path, language: str) -> list[Path]:
    """Write a folder named for the tenant's slug, and return its files. Raises FileExistsError."""
    slug = folder.name
    name = slug.replace("-", " ").title()
    folder.mkdir(parents=True)
    written = _copy(resources.files(__name__) / language, folder, {"__NAME__": name, "__SLUG__": slug})
    # Next to the file that names it: editors then know the keys of the Recado that wrote it, also offline.
    schema = folder / SCHEMA_FILE
    schema.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return [*written, schema]


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> list[Path]:
    written: list[Path] = []
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        path = target / entry.name
        if entry.is_dir():
            path.mkdir()
            written += _copy(entry, path, words)
            continue
        text = entry.read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path.write_text(text, "utf-8")
        written.append(path)
    return written
