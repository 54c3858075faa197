"""The schema of the database: numbered SQL files, each applied once, in order, by one process at a time."""

from migrations.migrator import EditedMigrationError, Migration, apply, available

__all__ = ["EditedMigrationError", "Migration", "apply", "available"]
