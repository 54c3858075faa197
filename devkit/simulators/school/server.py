"""The school's MCP server, over streamable HTTP at /mcp, and the control interface beside it."""

from typing import Any, Literal

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from devkit.simulators.school.state import Document, Refused, School

Shift = Literal["Manhã", "Tarde"]


class Server:
    """One school, behind one bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.school = School()

    def application(self) -> ASGIApp:
        mcp: FastMCP[Any] = FastMCP("Escola Horizonte", stateless_http=True, json_response=True, log_level="ERROR")
        for tool in (self.list_classes, self.vacancies, self.enrol):
            mcp.add_tool(tool)
        app: Starlette = mcp.streamable_http_app()
        app.add_route("/control/state", self._state, methods=["GET"])
        app.add_route("/control/reset", self._reset, methods=["POST"])
        return _Guarded(app, self._token)

    async def list_classes(self, shift: Shift | None = None) -> list[Document]:
        """The school's classes, with ages and vacancies."""
        return self.school.offered(shift)

    async def vacancies(self, name: str, shift: Shift) -> Document:
        """How many places are left in a class."""
        return {"name": name, "shift": shift, "vacancies": self.school.vacancies(name, shift)}

    async def enrol(
        self, student: str, born: str, cpf: str, email: str, name: str, shift: Shift, context: Context[Any, Any, Any]
    ) -> Document:
        """Enrols a student in a class. The Idempotency-Key that the request carries makes it happen once."""
        request = context.request_context.request
        key = request.headers.get("idempotency-key", "") if isinstance(request, Request) else ""
        try:
            enrolment = self.school.enrol(key, name, shift, {"name": student, "born": born, "cpf": cpf, "email": email})
        except Refused as refusal:
            raise ToolError(str(refusal)) from None
        return {"number": enrolment["number"], "class_id": enrolment["class_id"]}

    async def _state(self, _: Request) -> JSONResponse:
        return JSONResponse(self.school.as_json())

    async def _reset(self, _: Request) -> JSONResponse:
        self.school = School()
        return JSONResponse({})


class _Guarded:
    """Lets only those in to /mcp who show the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_for_members(scope) and Request(scope).headers.get("Authorization") != f"Bearer {self._token}":
            refusal = JSONResponse({"error": "expected a valid bearer token"}, status_code=401)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_for_members(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope["path"]).startswith("/mcp")
