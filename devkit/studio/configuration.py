"""Make the file for `langgraph dev --config` that opens every published tenant. langgraph.json opens the demo's.

`python -m devkit.studio.configuration` prints it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from app import database_check, db
from app.assistants import service as assistants
from app.config import Settings
from app.errors import NotFoundError, RecadoError
from devkit.studio.factory import variable

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "langgraph.json"


async def configuration(settings: Settings) -> dict[str, Any]:
    """Return the configuration. Raises NotFoundError when no tenant has published."""
    async with db.system_database(settings) as system:
        slugs = [each.slug for each in await assistants.published(system) if each.content_hash]
    if not slugs:
        raise NotFoundError("no tenant has published an assistant: run `recado tenants publish FOLDER` first")
    demo = json.loads(DEMO.read_text())
    factory = ROOT / "devkit" / "studio" / "factory.py"
    # Absolute paths, because the server runs in another folder.
    return {
        "dependencies": [str(ROOT)],
        "graphs": {slug: f"{factory}:{variable(slug)}" for slug in slugs},
        "checkpointer": {"path": str(ROOT / demo["checkpointer"]["path"])},
        "env": {**demo["env"], "RECADO_TENANTS": ",".join(slugs)},
    }


def main() -> None:
    """Print the configuration, or the error."""
    try:
        settings = Settings.from_environment(required=tuple(database_check.ROLES))
        database_check.require(settings, tuple(database_check.ROLES), alone=False)
        print(json.dumps(asyncio.run(configuration(settings)), indent=2))
    except RecadoError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
