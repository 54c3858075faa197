"""Tool runners for the turns of one conversation."""

from dataclasses import replace
from typing import Any

from app.crypto import SecretBox
from app.db import Database
from app.identity.secrets import Secrets
from app.telemetry import Milestone
from app.turns.claim import Claim
from app.turns.tool_runner import JournalingToolRunner, ToolDependencies
from tests.graphs.conversation import NoWayOut
from tests.platform import tenant_manifest
from tools.ports import ToolCall

CALL = ToolCall("call-1", "book_slot", {"slot_id": "a", "patient": "Ana"})


class Runners:
    """Makes tool runners for the turns of one conversation."""

    def __init__(self, db: Database, claim: Claim, secret_key: str) -> None:
        self.db = db
        self.secrets = Secrets(db, SecretBox(secret_key))
        self.claim = claim
        self.reached: list[Milestone] = []
        self.slots: list[str] = []

    def runner(self, **changes: Any) -> JournalingToolRunner:
        """Return the runner of a turn. `changes` replace fields of its claim."""
        loaded = tenant_manifest()
        claim = replace(self.claim, **changes)
        ports = ToolDependencies(self.db, self.secrets, NoWayOut(), self.reached.append)
        return JournalingToolRunner(ports, claim, loaded, self.claim.claimed_at)
