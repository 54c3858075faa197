"""Read the settings of a command, and check them before they are used."""

from app import db, telemetry
from app.config import Settings


def settings(*required: str) -> Settings:
    """Return the settings of an administrative command. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    found = Settings.from_environment(required=("DATABASE_URL", *required))
    db.require(found.database_url)
    return found


def process_settings(required: tuple[str, ...]) -> Settings:
    """Return the settings of a server process, with logging set up. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    found = Settings.from_environment(required=required)
    telemetry.setup(found.log_format)
    db.require(found.database_url)
    return found
