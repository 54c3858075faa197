"""One module per model provider: the only places that import its packages."""
