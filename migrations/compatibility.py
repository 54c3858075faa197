"""Compare the schema of a database with the migrations of this code."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import LiteralString

from migrations.migrator import available


@dataclass(frozen=True)
class AppliedMigration:
    """A row of schema_migrations. `oldest_code` is the newest migration that code must have to work with this one."""

    name: str
    oldest_code: str | None


# The column is missing in a schema that is older than the column.
APPLIED: LiteralString = "select name, to_jsonb(m) ->> 'oldest_code' as oldest_code from schema_migrations m"


@cache
def _known() -> tuple[str, ...]:
    return tuple(migration.name for migration in available())


def schema_problem(applied: Sequence[AppliedMigration]) -> str | None:
    """Return why this code cannot work with the schema, and what to do, or None.

    The schema may be newer than the code, up to a migration that excludes code of this age.
    """
    known, names = _known(), {migration.name for migration in applied}
    missing = [name for name in known if name not in names]
    if missing:
        return f"the database's schema is older than this code, which needs {missing[-1]}: run `recado migrate`"
    newest = known[-1]
    for migration in applied:
        if migration.oldest_code is not None and migration.oldest_code > newest[:4]:
            return (
                f"the database's schema is newer than this code: {migration.name} works with code that has migration "
                f"{migration.oldest_code}, and this code ends with {newest}: deploy a newer version"
            )
    return None
