"""The database's shape: numbered SQL files, applied once each, in order, by one process at a time."""

from migrations.migrator import EditedMigrationError, Migration, apply, available

__all__ = ["EditedMigrationError", "Migration", "apply", "available"]
