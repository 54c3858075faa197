"""The example environment names every model provider of the table."""

from devkit.env_example import FILE, with_providers
from graphs.providers import PROVIDERS


def test_the_example_is_what_just_docs_writes() -> None:
    assert with_providers(FILE.read_text("utf-8")) == FILE.read_text("utf-8")


def test_every_provider_has_a_line_for_its_key() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    assert all(f"#{row.key_variable}=" in lines or f"{row.key_variable}=" in lines for row in PROVIDERS.values())
