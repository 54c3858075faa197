"""Read a tenant's folder."""

import contextlib
import os
import unicodedata
from pathlib import Path

from pypdf import PdfReader

from manifest.compile import matches
from manifest.document_source import LARGEST_DOCUMENT
from manifest.loader import LARGEST_FILE, MAIN, InvalidFiles, LoadedAssistant, Problem, load
from manifest.yaml_source import UNSTORABLE, YamlDocument

LARGEST_PDF = 20 * 1024 * 1024
"""The size limit of a PDF in bytes. Only its text is kept."""
DOCUMENTS = (".json", ".yaml", ".yml")
"""The suffixes of files that may be OpenAPI documents."""
SCENARIOS = "scenarios"
"""The folder of scenarios, which is no part of the assistant."""


def load_folder(folder: Path) -> LoadedAssistant:
    """Return the assistant of a tenant's folder. Raises InvalidFiles."""
    main = folder / MAIN
    try:
        files = {MAIN: _read(main, folder)}
        others = _others(folder, _patterns(files[MAIN]))
        files |= {_name(path, folder): _read(path, folder) for path in others}
    except OSError as error:
        name = os.path.relpath(error.filename, folder)
        raise InvalidFiles([Problem(name, 1, 1, f"cannot be read: {error.strerror}")]) from None
    except _Unreadable as error:
        raise InvalidFiles([error.problem]) from None
    return load(files)


class _Unreadable(ValueError):
    """A file cannot be used. The text says why, and what to do."""

    def __init__(self, name: str, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.problem = Problem(name, line, 1, reason)


def _name(path: Path, folder: Path) -> str:
    """Return the path within the folder. Some systems write accents as characters of their own."""
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def _patterns(text: str) -> list[str]:
    """Return the patterns of `knowledge` in the main file, as far as it can be read."""
    with contextlib.suppress(InvalidFiles):
        named = YamlDocument.parse(text, MAIN).tree.get("knowledge")
        return [pattern for pattern in named if isinstance(pattern, str)] if isinstance(named, list) else []
    return []


def _others(folder: Path, knowledge: list[str]) -> list[Path]:
    """Return the Markdown, JSON and YAML files, and the text and PDF files that a pattern of `knowledge` names.

    Scenarios and hidden folders are left out.
    """
    found = (path for suffix in ("md", "json", "yaml", "yml") for path in folder.rglob(f"*.{suffix}"))
    known = (path for suffix in ("txt", "pdf") for path in folder.rglob(f"*.{suffix}"))
    named = (path for path in known if any(matches(each, _name(path, folder)) for each in knowledge))
    places = ((path, path.relative_to(folder).parts) for path in (*found, *named))
    return sorted(path for path, at in places if at[0] not in (MAIN, SCENARIOS) and not at[0].startswith("."))


def _read(path: Path, folder: Path) -> str:
    name = _name(path, folder)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _Unreadable(name, "it is a link that leads out of the folder")
    if path.suffix == ".pdf":
        return _text_of_pdf(path, name)
    # OpenAPI documents are large, and only a part of them is published.
    largest = LARGEST_DOCUMENT if path.suffix in DOCUMENTS and path.name != MAIN else LARGEST_FILE
    if path.stat().st_size > largest:
        raise _Unreadable(name, f"it is larger than {largest // 1024} KiB")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _Unreadable(name, "it is not UTF-8 text: save the file as UTF-8", line) from None


def _text_of_pdf(path: Path, name: str) -> str:
    """Return the text of a PDF's pages, which is published and searched. Raises _Unreadable."""
    if path.stat().st_size > LARGEST_PDF:
        raise _Unreadable(name, f"it is larger than {LARGEST_PDF // 1024 // 1024} MiB")
    try:
        text = "\n\n".join(page.extract_text() for page in PdfReader(path).pages)
    except Exception as error:
        # A broken file makes its reader fail in every way there is.
        raise _Unreadable(name, f"it cannot be read as PDF: {error or type(error).__name__}") from None
    text = UNSTORABLE.sub("", text)
    if len(text.encode()) > LARGEST_FILE:
        raise _Unreadable(name, f"it has more than {LARGEST_FILE // 1024} KiB of text: split it into several files")
    return text
