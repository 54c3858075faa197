from tests.migrations.conftest import empty, new_database

__all__ = ["empty", "new_database"]
