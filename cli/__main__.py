"""`python -m cli` is the `recado` command."""

from cli.main import main

main()
