# `just` lists what there is.
_default:
    @just --list

# The whole system on this machine: no keys, no account, no Docker
demo *arguments:
    uv run recado demo {{arguments}}

# All tests
test *arguments:
    uv run pytest {{arguments}}

# The tests of less than a minute
test-fast *arguments:
    uv run pytest -m "not slow" {{arguments}}

# Format, lint, types, import contracts
check:
    uv run ruff format --check .
    uv run ruff check .
    uv run mypy
    uv run lint-imports

# Format the code, and repair what lint can repair
format:
    uv run ruff format .
    uv run ruff check --fix .

# Measure speed and memory, and print a table with the targets
bench *arguments:
    uv run python -m bench.load {{arguments}}

# Kill processes and servers while contacts write, and count what was lost
chaos *arguments:
    uv run --group chaos python -m bench.chaos {{arguments}}

# LangGraph Studio's server: a graph for each published tenant, on its conversations
studio *arguments:
    uv run --group studio recado studio {{arguments}}

# Write the generated pages again: after a change of the YAML's schema, a built-in tool or a model provider
docs:
    uv run recado tenants schema --markdown > docs/reference/assistant-yaml.md
    uv run recado tenants schema > docs/reference/assistant.schema.json
    uv run python -m devkit.env_example

# Make docs/images from a running demo, in Chromium
screenshots:
    uv run python -m devkit.screenshots
