"""The `recado` command: one module for each command group. A command reads arguments, calls a service and prints."""
