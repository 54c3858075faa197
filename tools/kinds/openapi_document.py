"""OpenAPI documents of one or several files: values with their places, references, and what operations use of them."""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tools.names import nearest

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value of a document."""

MAX_REFERENCES = 40
"""References that may lead from one to the next."""


@dataclass(frozen=True)
class OpenApiNode:
    """A value of a document, with its place."""

    value: Any
    file: str
    path: Path = ()

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def get(self, key: str) -> Any:
        """Return a value of this mapping, or None."""
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def child(self, key: str | int) -> "OpenApiNode":
        """Return the node of an item. A missing item of a mapping is None."""
        value = self.value[key] if isinstance(key, int) else self.get(key)
        return OpenApiNode(value, self.file, (*self.path, key))

    def entries(self) -> list[tuple[str, "OpenApiNode"]]:
        """Return the items of this mapping. Raises OpenApiProblem if it is none."""
        if not isinstance(self.value, Mapping):
            name = self.path[-1] if self.path else "the document"
            raise OpenApiProblem(f"`{name}` is not a mapping, so it is not valid OpenAPI", self)
        return [(str(name), self.child(name)) for name in self.value]

    def mapping(self, key: str) -> list[tuple[str, "OpenApiNode"]]:
        """Return the items of a mapping below this one, none if it is missing. Raises OpenApiProblem."""
        inner = self.child(key)
        return [] if inner.value is None else inner.entries()

    def items(self, key: str) -> list["OpenApiNode"]:
        """Return the items of a list below this mapping, none if it is missing. Raises OpenApiProblem."""
        inner = self.child(key)
        if inner.value is None:
            return []
        if not isinstance(inner.value, list):
            raise OpenApiProblem(f"`{key}` is not a list, so it is not valid OpenAPI", inner)
        return [inner.child(number) for number in range(len(inner.value))]


class OpenApiProblem(ValueError):
    """A document or one of its operations cannot be a tool. The message says why; `node` is where, if it is known."""

    def __init__(self, message: str, node: OpenApiNode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node = node


class Documents:
    """The documents of a tenant's folder. Each is read when it is first needed.

    `read` takes the name and the text of a file and returns its value. It raises OpenApiProblem.
    """

    def __init__(self, files: Mapping[str, str], read: Callable[[str, str], Any]) -> None:
        self._files = files
        self._read = read
        self._roots: dict[str, OpenApiNode] = {}
        self._used: dict[str, set[Path]] = {}

    def text(self, file: str) -> str:
        """Return the text of a file."""
        return self._files[file]

    def root(self, file: str) -> OpenApiNode:
        """Return a whole document. Raises OpenApiProblem."""
        if file not in self._roots:
            self._roots[file] = OpenApiNode(self._read(file, self._files[file]), file)
        return self._roots[file]

    def use(self, node: OpenApiNode) -> OpenApiNode:
        """Return the node, and keep it in the extract of its file."""
        self._used.setdefault(node.file, set()).add(node.path)
        return node

    def extracts(self) -> dict[str, Any]:
        """Return what was used of each file, in the order of the file."""
        return {file: _extract(self.root(file).value, paths) for file, paths in self._used.items()}

    def resolve(self, node: OpenApiNode, *, used: bool = True) -> OpenApiNode:
        """Follow references from a node to a value that is none. Raises OpenApiProblem.

        `used`: the references and the whole value are used.
        """
        found = self._follow(node, used=used)
        return self.use(found) if used else found

    def use_references(self, node: OpenApiNode) -> None:
        """Keep the references from a node to a value, but not the value, in the extracts. Raises OpenApiProblem."""
        self._follow(node, used=True)

    def target(self, node: OpenApiNode, *, used: bool = True) -> OpenApiNode:
        """Return what the reference of a node leads to, which may be a reference, too. Raises OpenApiProblem."""
        reference = str(node.get("$ref"))
        if used:
            self.use(node.child("$ref"))
        place, _, pointer = reference.partition("#")
        try:
            found = self.root(self._file(node.file, reference, place) if place else node.file)
        except OpenApiProblem as problem:
            raise OpenApiProblem(problem.message, node.child("$ref")) from None
        if pointer and not pointer.startswith("/"):
            message = f"`{reference}`: write a path after the #, such as #/components/schemas/Order"
            raise OpenApiProblem(message, node.child("$ref"))
        for part in pointer.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            found = self._child(self._follow(found, used=used), key, node)
        return found

    def _follow(self, node: OpenApiNode, *, used: bool) -> OpenApiNode:
        found = node
        for _ in range(MAX_REFERENCES):
            if not isinstance(found.get("$ref"), str):
                return found
            found = self.target(found, used=used)
        raise OpenApiProblem(f"`{node.get('$ref')}` leads back to itself", node)

    def _child(self, found: OpenApiNode, key: str, node: OpenApiNode) -> OpenApiNode:
        if isinstance(found.value, list) and key.isascii() and key.isdigit() and int(key) < len(found.value):
            return found.child(int(key))
        if key in found:
            return found.child(key)
        raise OpenApiProblem(f"`{node.get('$ref')}` does not exist", node.child("$ref"))

    def _file(self, within: str, reference: str, place: str) -> str:
        if "://" in place or place.startswith("/"):
            message = f"`{reference}`: a reference must stay within the files of the tenant's folder: copy it there"
            raise OpenApiProblem(message)
        file = posixpath.normpath(posixpath.join(posixpath.dirname(within), unquote(place)))
        if file not in self._files:
            message = f"`{reference}`: there is no file `{file}` in the tenant's folder{nearest(file, self._files)}"
            raise OpenApiProblem(message)
        return file


def _extract(value: Any, paths: set[Path]) -> Any:
    if () in paths or not isinstance(value, Mapping):
        # A list is kept whole, so that references to its items stay valid.
        return value
    inner: dict[str | int, set[Path]] = {}
    for key, *rest in paths:
        inner.setdefault(key, set()).add(tuple(rest))
    return {key: _extract(item, inner[key]) for key, item in value.items() if key in inner}
