"""Find an operation of an OpenAPI document by its operationId, or by method and path."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.kinds.openapi_document import Documents, OpenApiNode, OpenApiProblem
from tools.names import nearest

METHODS = ("get", "post", "put", "patch", "delete")
OTHER_METHODS = ("head", "options", "trace", "query")
METHOD_AND_PATH = re.compile(rf"({'|'.join((*METHODS, *OTHER_METHODS))})\s+(/.*)", re.IGNORECASE)


@dataclass(frozen=True)
class LocatedOperation:
    """An operation with its path. `path_item` holds what is common to the operations of the path.

    `references` are the places in the document that may refer to these two.
    """

    method: str
    path: str
    path_item: OpenApiNode
    node: OpenApiNode
    references: tuple[OpenApiNode, ...]

    @property
    def name(self) -> str:
        """Its method and path, as in `GET /orders/{id}`."""
        return f"{self.method.upper()} {self.path}"


def locate_operation(documents: Documents, root: OpenApiNode, name: str) -> LocatedOperation:
    """Return the operation that an operationId, or a method and a path, name. Raises OpenApiProblem."""
    found: list[LocatedOperation] = []
    broken: list[OpenApiProblem] = []
    for path, item in root.mapping("paths"):
        try:
            found += _operations(documents, path, item)
        except OpenApiProblem as problem:
            broken.append(problem)
    matching = [each for each in found if each.node.get("operationId") == name]
    if len(matching) > 1:
        names = " and ".join(f"`{each.name}`" for each in matching[:2])
        raise OpenApiProblem(f"`{name}` is the operationId of {names}: name one of these instead", matching[1].node)
    wanted = METHOD_AND_PATH.fullmatch(name.strip())
    if not matching and wanted:
        method, path = wanted[1].lower(), wanted[2].strip()
        if method in OTHER_METHODS:
            raise OpenApiProblem(f"tools do not send {method.upper()}, only {', '.join(METHODS).upper()}")
        matching = [each for each in found if (each.method, each.path) == (method, path)]
    if not matching:
        if broken:
            # The operation may be among those that cannot be read.
            raise broken[0]
        raise OpenApiProblem(f"there is no operation `{name}`{_hint(root.file, name, found)}")
    return matching[0]


def _operations(documents: Documents, path: str, item: OpenApiNode) -> Iterator[LocatedOperation]:
    path_item = documents.resolve(item, used=False)
    for method in METHODS:
        if isinstance(path_item.get(method), Mapping):
            written = path_item.child(method)
            node = documents.resolve(written, used=False)
            yield LocatedOperation(method, path, path_item, node, (item, written))


def _hint(file: str, name: str, found: list[LocatedOperation]) -> str:
    ids = [str(each.node.get("operationId")) for each in found if "operationId" in each.node]
    by_path = {each.name: each for each in found}
    path = name[name.find("/") :].strip()
    if same := [f"`{each.name}`" for each in found if each.path == path]:
        return f": write {' or '.join(same)}"
    if METHOD_AND_PATH.fullmatch(name.strip()):
        return nearest(name, by_path)
    if hint := nearest(name, [*ids, *by_path]):
        return hint
    unnamed = next((each for each in found if "operationId" not in each.node), None)
    if unnamed is None:
        return ""
    count = "no operation" if not ids else f"only {len(ids)} of {len(found)} operations"
    has = "has" if not ids else "have"
    return f": {count} of the document {has} an operationId: write method and path, as in `{file}#{unnamed.name}`"
