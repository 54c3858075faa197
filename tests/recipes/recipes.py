"""The recipes of README's table, as a newcomer would follow them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A change to a file that exists: `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Recipe:
    """How to add one thing.

    `row` is the first cell of its row in README's table. `files` are new files, whose text is in `files/`. `tests` are
    the new files that test the thing.
    """

    row: str
    files: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    tests: tuple[str, ...] = ()


TOOL = Recipe(
    row="a tool",
    files=("tools/builtin/roll_die.py",),
    edits=(Edit("tools/registry.py", '    "find_slots",\n', '    "find_slots",\n    "roll_die",\n'),),
    tests=("tests/tools/builtin/test_roll_die.py",),
)

NODE = Recipe(
    row="a node",
    files=("graphs/nodes/greet.py",),
    edits=(
        Edit(
            "graphs/edges.py",
            "def make_after_model(",
            'def after_recall(state: State) -> Literal["greet", "route"]:\n'
            '    """Greet a contact who says hello."""\n'
            '    return "greet" if state["turn"]["said"] == "olá" else "route"\n\n\n'
            "def make_after_model(",
        ),
        Edit("graphs/builder.py", "import AfterModel, after_flow, ", "import AfterModel, after_flow, after_recall, "),
        Edit(
            "graphs/builder.py",
            "from graphs.nodes.handoff import",
            "from graphs.nodes.greet import make_greet\nfrom graphs.nodes.handoff import",
        ),
        Edit(
            "graphs/builder.py",
            '        "handoff": make_handoff(assistant),\n',
            '        "greet": make_greet(assistant),\n        "handoff": make_handoff(assistant),\n',
        ),
        Edit(
            "graphs/builder.py",
            '    graph.add_edge("recall", "route")\n',
            '    graph.add_node("greet", function("greet"))\n'
            '    graph.add_conditional_edges("recall", after_recall)\n'
            '    graph.add_edge("greet", "route")\n',
        ),
    ),
    tests=("tests/graphs/nodes/test_greet.py",),
)

TENANT = Recipe(
    row="a tenant",
    files=("tenants/padaria-central/assistant.yaml", "tenants/padaria-central/prompts/balcao.md"),
    tests=("tests/manifest/test_padaria.py",),
)

ENDPOINT = Recipe(
    row="an endpoint",
    files=("app/webhooks/version.py",),
    edits=(
        Edit(
            "app/asgi.py",
            "from app.webhooks.twilio import ",
            "from app.webhooks.version import running_version\nfrom app.webhooks.twilio import ",
        ),
        Edit("app/asgi.py", "            healthy,\n", "            healthy,\n            running_version,\n"),
    ),
    tests=("tests/app/webhooks/test_version.py",),
)

TABLE = Recipe(
    row="a table",
    files=("migrations/0900_notes.sql",),
    edits=(
        Edit(
            "app/conversations/queries.py",
            "@dataclass(frozen=True)\nclass PendingInterrupt:",
            "async def add_note(tx: Transaction, tenant: UUID, conversation: UUID, body: str, now: datetime) -> None:\n"
            '    """Add a note to a conversation."""\n'
            "    await tx.run(\n"
            '        """insert into notes (tenant_id, conversation_id, body, created_at)\n'
            '           values (%(tenant_id)s, %(conversation_id)s, %(body)s, %(now)s)""",\n'
            '        {"tenant_id": tenant, "conversation_id": conversation, "body": body, "now": now},\n'
            "    )\n\n\n"
            "@dataclass(frozen=True)\nclass PendingInterrupt:",
        ),
    ),
    tests=("tests/app/conversations/test_notes.py",),
)

PROVIDER = Recipe(
    row="a model provider",
    files=("graphs/providers/mistral.py",),
    edits=(
        Edit(
            "graphs/providers/__init__.py",
            "\n)\n\nPROVIDERS: Mapping",
            "\n    Provider(\n"
            '        name="mistral",\n'
            '        default_url="https://api.mistral.ai/v1",\n'
            '        demo_model="mistral-small-latest",\n'
            '        dialect="openai",\n'
            "    ),\n)\n\nPROVIDERS: Mapping",
        ),
    ),
    tests=("tests/graphs/providers/test_mistral.py",),
)

YAML_KEY = Recipe(
    row="a YAML key",
    edits=(
        Edit(
            "graphs/sections.py",
            '    """How the assistant hands over to an operator."""\n\n',
            '    """How the assistant hands over to an operator."""\n\n'
            '    priority: Annotated[int, Field(ge=1, le=5, description="Operators see it; 5 is most urgent.")] = 1\n',
        ),
        Edit(
            "graphs/nodes/handoff.py",
            "    queue: str\n    reason: str\n",
            "    queue: str\n    priority: int\n    reason: str\n",
        ),
        Edit(
            "graphs/nodes/handoff.py",
            "        queue=assistant.handoff.queue,\n",
            "        queue=assistant.handoff.queue,\n        priority=assistant.handoff.priority,\n",
        ),
    ),
    tests=("tests/graphs/nodes/test_handoff_priority.py",),
)

RECIPES = (TOOL, NODE, TENANT, ENDPOINT, TABLE, PROVIDER, YAML_KEY)
