"""Write the model providers of .env.example from their table: `python -m devkit.env_example`."""

from pathlib import Path

from graphs.providers import PROVIDERS

FILE = Path(__file__).resolve().parents[1] / ".env.example"
HEADING = "# At least one model provider. *_BASE_URL points at anything that speaks the same protocol.\n"


def with_providers(text: str) -> str:
    """Return the text of the file with its block of providers made anew. The block ends with a blank line."""
    before, heading, rest = text.partition(HEADING)
    assert heading, f".env.example has no line {HEADING!r}"
    variables = [name for provider in PROVIDERS.values() for name in (provider.key_variable, provider.url_variable)]
    # Only the first key is a line to fill in. The others are comments, because one provider is enough.
    lines = "\n#".join(f"{name}=" for name in variables)
    return f"{before}{heading}{lines}\n\n{rest.partition('\n\n')[2]}"


if __name__ == "__main__":
    FILE.write_text(with_providers(FILE.read_text("utf-8")), "utf-8")
