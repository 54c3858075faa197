"""What an administrative command needs around it, said clearly when it is not there."""

from app import db
from app.config import Settings


def settings(*needs: str) -> Settings:
    """The settings, with a database that answers and has our tables. Raises ConfigurationError."""
    found = Settings.from_environment(needs=("DATABASE_URL", *needs))
    db.require(found.database_url)
    return found
