"""The schema of the database: numbered SQL files, each applied once, in order, by one process at a time."""

from migrations.compatibility import APPLIED, AppliedMigration, schema_problem
from migrations.migrator import PATIENCE, EditedMigrationError, Migration, apply, available

__all__ = [
    "APPLIED",
    "PATIENCE",
    "AppliedMigration",
    "EditedMigrationError",
    "Migration",
    "apply",
    "available",
    "schema_problem",
]
