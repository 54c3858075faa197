"""The schema of the database, and its logins.

The schema is numbered SQL files, each applied once, in order, by one process at a time.
"""

from migrations.compatibility import APPLIED, AppliedMigration, schema_problem
from migrations.logins import LOGIN_ROLES, LoginError
from migrations.logins import make as make_logins
from migrations.migrator import PATIENCE, EditedMigrationError, Migration, apply, available

__all__ = [
    "APPLIED",
    "LOGIN_ROLES",
    "PATIENCE",
    "AppliedMigration",
    "EditedMigrationError",
    "LoginError",
    "Migration",
    "apply",
    "available",
    "make_logins",
    "schema_problem",
]
