"""`python -m migrations`: applies what is missing to DATABASE_URL."""

import os
import sys

from migrations import apply


def main() -> None:
    """Prints one line per migration applied."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        sys.exit("DATABASE_URL is not set")
    for migration in apply(url):
        print(migration.name)


if __name__ == "__main__":
    main()
