"""Tool runners for the turns of one conversation."""

from dataclasses import replace
from typing import Any

from app.crypto import SecretBox
from app.db import Database
from app.identity.secrets import Secrets
from app.telemetry import Milestone
from app.turns.claim import Claim
from app.turns.tool_runner import JournalingToolRunner, ToolDependencies
from tests.graphs.conversation import NoNetwork
from tests.platform import tenant_manifest
from tools.ports import ToolCall

CALL = ToolCall("call-1", "book_slot", {"slot_id": "a", "patient": "Ana"})


class Runners:
    """A factory of tool runners for the turns of one conversation. It records milestones and free slots."""

    def __init__(self, db: Database, claim: Claim, secret_key: str) -> None:
        self.db = db
        self.secrets = Secrets(db, SecretBox(secret_key))
        self.claim = claim
        self.reached: list[Milestone] = []
        self.slots: list[str] = []

    def runner(self, **changes: Any) -> JournalingToolRunner:
        """Return the runner of a turn. `changes` replace fields of its claim."""
        loaded = tenant_manifest().compiled
        claim = replace(self.claim, **changes)
        ports = ToolDependencies(self.db, self.secrets, NoNetwork(), self.reached.append)
        return JournalingToolRunner(ports, claim, loaded, self.claim.claimed_at)
