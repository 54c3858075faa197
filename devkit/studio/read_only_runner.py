"""Run tools in Studio: tools that only read run, and calls of other tools return that they are disabled."""

from collections.abc import Mapping
from uuid import UUID

from app import db
from app.appointments.service import Booker, TenantAppointments
from app.clock import utc_now
from app.config import Settings
from app.crypto import SecretBox
from app.db import Database
from app.identity.secrets import Secrets
from app.knowledge.service import VersionKnowledge
from manifest.loader import CompiledAssistant
from tools.kinds.trusted_values import VERIFIED
from tools.ports import JSON, Effect, HttpClient, LocalPorts, ToolCall, ToolContext, ToolFailed, Unreachable

NO_ID = UUID(int=0)
STUDIO = {
    "contact.phone": "+10000000000",
    "contact.address": "whatsapp:+10000000000",
    "conversation.id": str(NO_ID),
    "channel.phone": "+10000000001",
    "channel.address": "whatsapp:+10000000001",
}
"""The trusted values in Studio, where there is no contact."""


class ReadOnlyRunner:
    """A ToolRunner that changes nothing."""

    def __init__(self, settings: Settings, tenant_id: UUID, loaded: CompiledAssistant, http_client: HttpClient) -> None:
        self._settings = settings
        self._booker = Booker(tenant_id, contact_id=NO_ID, conversation_id=NO_ID)
        self._loaded = loaded
        self._assistant = loaded.assistant
        self._http_client = http_client

    async def read(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a tool that changes nothing."""
        async with self._database() as tenants, tenants.statement(self._booker.tenant_id) as tx:
            now, assistant = utc_now(), self._assistant
            appointments = TenantAppointments(tx, self._booker, assistant.calendars, assistant.timezone, now)
            knowledge = VersionKnowledge(tx, self._booker.tenant_id, self._loaded)
            ports = LocalPorts(appointments=appointments, knowledge=knowledge)
            return await effect(ToolContext(now, assistant.timezone, self._http_client, ports))

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Return that the tool is disabled."""
        return {"status": f"{call.name} changes something, so it is disabled in Studio"}

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a tool that reads from another system. It gets the tenant's secrets if RECADO_SECRET_KEY is set."""
        secrets: Mapping[str, str] = {}
        if call.secrets and self._settings.secret_key:
            async with self._database() as tenants:
                box = SecretBox(self._settings.secret_key)
                secrets = await Secrets(tenants, box).of(self._booker.tenant_id, call.secrets)
        if missing := sorted(call.secrets - secrets.keys()):
            raise ToolFailed("a secret is not set", model_message=f"not set here: {', '.join(missing)}")
        context = ToolContext(
            utc_now(),
            self._assistant.timezone,
            self._http_client,
            key=f"studio:{call.id}",
            secrets=secrets,
            trusted=STUDIO | {f"{VERIFIED}{name}": value for name, value in call.verified.items()},
        )
        try:
            return await effect(context)
        except Unreachable as error:
            raise ToolFailed(str(error), model_message=str(error)) from None

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Return that the tool is disabled."""
        return await self.write_once(call, effect)

    def _database(self) -> Database:
        return db.app_database(self._settings, size=1)
