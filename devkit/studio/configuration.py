"""What `langgraph dev --config` needs to open every published tenant: langgraph.json opens the demo's.

`python -m devkit.studio.configuration` prints it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from app import db
from app.assistants import service as assistants
from app.config import Settings
from app.db import Database, Role
from app.errors import NotFoundError, RecadoError
from devkit.studio.factory import variable

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "langgraph.json"


async def configuration(settings: Settings) -> dict[str, Any]:
    """Raises NotFoundError when no tenant has published."""
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        slugs = [each.slug for each in await assistants.published(system) if each.content_hash]
    if not slugs:
        raise NotFoundError("no tenant has published anything yet: `recado tenants publish FOLDER` does")
    demo = json.loads(DEMO.read_text())
    factory = ROOT / "devkit" / "studio" / "factory.py"
    # Absolute paths: the server does not run in this folder.
    return {
        "dependencies": [str(ROOT)],
        "graphs": {slug: f"{factory}:{variable(slug)}" for slug in slugs},
        "checkpointer": {"path": str(ROOT / demo["checkpointer"]["path"])},
        "env": {**demo["env"], "RECADO_TENANTS": ",".join(slugs)},
    }


def main() -> None:
    """Prints the configuration, or why there is none."""
    try:
        settings = Settings.from_environment(required=("DATABASE_URL",))
        db.require(settings.database_url)
        print(json.dumps(asyncio.run(configuration(settings)), indent=2))
    except RecadoError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
