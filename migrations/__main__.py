"""`python -m migrations` applies missing migrations to OWNER_DATABASE_URL."""

import os
import sys

from migrations import apply


def main() -> None:
    """Print one line for each applied migration."""
    url = os.environ.get("OWNER_DATABASE_URL")
    if not url:
        sys.exit("OWNER_DATABASE_URL is not set")
    for migration in apply(url):
        print(migration.name)


if __name__ == "__main__":
    main()
