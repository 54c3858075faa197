"""A transaction that explains each statement before it runs it: which plan the application gets, and what it reads."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, LiteralString, cast

from psycopg import AsyncConnection, sql
from psycopg.adapt import AdaptersMap, PyFormat
from psycopg.pq import ExecStatus

from app.db import Params, Role, Transaction, numbered

NAMES = count(1)
EXECUTIONS = 7
"""After five executions Postgres may choose a generic plan."""
SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan")


@dataclass(frozen=True)
class Plan:
    """The plan of one statement. `rows_read` are the rows that its scans have visited."""

    statement: str
    scanned: frozenset[str]
    rows_read: int
    sorted_rows: int

    def __str__(self) -> str:
        """Return the statement with what it reads."""
        return f"reads {self.rows_read} rows, scans {sorted(self.scanned)}: {self.statement}"


class ExplainedTransaction(Transaction):
    """Explains the statements of one transaction, and runs them."""

    def __init__(self, connection: AsyncConnection[Any], role: Role) -> None:
        super().__init__(connection, role, None, single=False)
        self.plans: list[Plan] = []

    async def all[R](self, row: type[R], query: LiteralString, params: Params) -> list[R]:
        """Explain and run a query."""
        self._explain(query, params)
        return await super().all(row, query, params)

    async def after[R](self, change: LiteralString, row: type[R], query: LiteralString, params: Params) -> list[R]:
        """Explain and run a change and a query."""
        await self.run(change, params)
        return await self.all(row, query, params)

    def _explain(self, query: LiteralString, params: Params) -> None:
        statement, names = numbered(query)
        connection, name = self._connection, f"explained_{next(NAMES)}"
        types = [_type_of(connection.adapters, params[key]) for key in names]
        declared = f"({', '.join(types)})" if types else ""
        values = [sql.Literal(params[key]).as_string(connection) for key in names]
        given = f"({', '.join(values)})" if values else ""
        self._command(f"prepare {name} {declared} as {statement}")
        for _ in range(EXECUTIONS):
            self._command("savepoint before")
            found = self._command(f"explain (analyze, timing off, format json) execute {name}{given}")
            self._command("rollback to before")
        assert found is not None
        self.plans.append(_plan(statement, json.loads(found)[0]["Plan"]))

    def _command(self, command: str) -> bytes | None:
        """Run a command past the driver, which drops all prepared statements after a rollback."""
        result = self._connection.pgconn.exec_(command.encode())
        assert result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK), result.error_message
        return result.get_value(0, 0) if result.ntuples else None


def _type_of(adapters: AdaptersMap, value: Any) -> str:
    """Return the type that the driver declares for a value, as it is for one value or for a list."""
    if isinstance(value, list):
        element = _type_of(adapters, value[0]) if value else "unknown"
        return "unknown" if element == "unknown" else f"{element}[]"
    if value is None or isinstance(value, str):
        return "unknown"
    oid = adapters.get_dumper(type(value), PyFormat.AUTO).oid
    known = adapters.types.get(oid) if oid else None
    return known.name if known is not None else "unknown"


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _visited(node: Mapping[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


def _plan(statement: str, root: Mapping[str, Any]) -> Plan:
    nodes = list(_nodes(root))
    return Plan(
        re.sub(r"\s+", " ", statement).strip()[:300],
        frozenset(cast("str", node["Relation Name"]) for node in nodes if node["Node Type"] == "Seq Scan"),
        sum(_visited(node) for node in nodes if node["Node Type"] in SCANS),
        sum(round(node["Actual Rows"] * node["Actual Loops"]) for node in nodes if node["Node Type"] == "Sort"),
    )
