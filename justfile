# `just` lists what there is.
_default:
    @just --list

# The whole system on this machine: no keys, no account, no Docker
demo *arguments:
    uv run recado demo {{arguments}}

# All tests
test *arguments:
    uv run pytest {{arguments}}

# Format, lint, types, import contracts
check:
    uv run ruff format --check .
    uv run ruff check .
    uv run mypy
    uv run lint-imports

# Speed and memory, as one table
bench *arguments:
    uv run python -m bench.load {{arguments}}

# Kill everything, again and again, and count what was lost
chaos *arguments:
    uv run python -m bench.chaos {{arguments}}

# LangGraph Studio's server on the conversations of RECADO_TENANT
studio port="2024":
    uv run --group studio langgraph dev --no-browser --host 127.0.0.1 --port {{port}}
