"""`python -m migrations` applies missing migrations to DATABASE_URL."""

import os
import sys

from migrations import apply


def main() -> None:
    """Print one line for each applied migration."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        sys.exit("DATABASE_URL is not set")
    for migration in apply(url):
        print(migration.name)


if __name__ == "__main__":
    main()
