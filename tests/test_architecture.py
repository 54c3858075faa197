"""Hold the sizes, the names and the direction of imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "devkit", "app", "manifest", "graphs", "tools", "migrations", "bench")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 45
LONGEST_TEST_NAME = 60
BOUNDED = {
    *("AsyncConnectionPool", "ConnectionPool", "TCPConnector", "ThreadPoolExecutor", "HostResolver", "Worker"),
    *("Queue", "Semaphore", "OrderedDict", "LruCache", "WeakKeyDictionary", "cache", "lru_cache"),
}
"""Names of what makes threads, connections, waiting or caches."""


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_files_and_functions_are_short() -> None:
    long = [f"{path}: {count} lines" for path in FILES if (count := path.read_text().count("\n")) > LONGEST_FILE]
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{path}:{node.lineno} {node.name}: {lines} lines"] if lines > LONGEST_FUNCTION else []
    assert not long


def test_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        if path.relative_to(ROOT).parts[0] in ("cli", "devkit", "app", "manifest", "graphs", "tools", "bench"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_test_modules_import_from_helper_modules() -> None:
    imports = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_")
    ]
    assert not imports


def test_names_of_tests_are_short() -> None:
    assert not [
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > LONGEST_TEST_NAME
    ]


def test_the_tests_mirror_the_tree() -> None:
    packages = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    strange = [str(package) for package in packages if package.parts and not (ROOT / package).is_dir()]
    assert sorted(strange) == ["plans", "recipes"]


SESSION_STATE = re.compile(
    r"set_config\([^)]*false\)|pg_(?:try_)?advisory_lock\w*|\bset (?:session|role|time zone)\b|-c role=|"
    r"^\s*(?:listen|prepare|declare|create temp\w*) "
)
"""What a statement leaves in its session, in the strings of our code."""
ON_THE_DIRECT_CONNECTION = {
    "app/db.py: set_config(%s, %s, false)",
    "app/turns/worker_lease.py: pg_advisory_lock",
}


def test_nothing_hangs_on_a_session_of_postgres() -> None:
    """A pooler in transaction mode gives the session to others."""
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] in ("app", "devkit") and "simulators" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in SESSION_STATE.finditer(node.value)
    }
    assert found == ON_THE_DIRECT_CONNECTION


def test_the_page_of_bounds_lists_every_pool_and_cache() -> None:
    listed = set(re.findall(r"^\| `([\w/]+\.py)` \|", (ROOT / "docs" / "bounds.md").read_text(), re.MULTILINE))
    assert not [path for path in listed if not (ROOT / path).is_file()]
    assert _with_bounds() <= listed


def _with_bounds() -> set[str]:
    """Return the files of the server that make a pool, a semaphore, a queue or a cache."""
    return {
        str(path.relative_to(ROOT))
        for path in FILES
        if path.relative_to(ROOT).parts[0] in ("app", "manifest", "graphs", "tools")
        for node in ast.walk(ast.parse(path.read_text()))
        for made in (node.decorator_list if isinstance(node, ast.FunctionDef) else [node])
        if _name(made.func if isinstance(made, ast.Call) else made if made is not node else None) in BOUNDED
    }


def _name(node: ast.AST | None) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


DOORS = {
    "insert into outbox": "app/conversations/shared_ctes.py",
    "insert into interrupts": "app/conversations/shared_ctes.py",
    "update interrupts set resolved_at": "app/conversations/shared_ctes.py",
}


def test_outbox_and_interrupts_have_one_door_each() -> None:
    """So that no other statement writes them without the conversation's row lock."""
    found = {
        (text, str(path.relative_to(ROOT)))
        for path in FILES
        if path.relative_to(ROOT).parts[0] == "app"
        for text in DOORS
        if text in path.read_text()
    }
    assert found == set(DOORS.items())
