"""Serve the school's MCP server over streamable HTTP at /mcp, and the tests' control endpoints beside it."""

from typing import Any, Literal

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from devkit.simulators.school.state import Document, EnrolmentRefused, SchoolState

Shift = Literal["Manhã", "Tarde"]


def create_application(token: str) -> ASGIApp:
    """Return the ASGI application of a new school. Requests of /mcp need the bearer token."""
    return SchoolServer(token).application()


class SchoolServer:
    """The tools and control endpoints of one school."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.school = SchoolState()

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        mcp: FastMCP[Any] = FastMCP("Escola Horizonte", stateless_http=True, json_response=True, log_level="ERROR")
        for tool in (self.list_classes, self.vacancies, self.enrol):
            mcp.add_tool(tool)
        app: Starlette = mcp.streamable_http_app()
        app.add_route("/control/state", self._state, methods=["GET"])
        app.add_route("/control/reset", self._reset, methods=["POST"])
        return _TokenCheck(app, self._token)

    # FastMCP sends the docstrings of these three to clients as the tools' descriptions.

    async def list_classes(self, shift: Shift | None = None) -> list[Document]:
        """List the school's classes, with ages and vacancies."""
        return self.school.classes_of(shift)

    async def vacancies(self, name: str, shift: Shift) -> Document:
        """Return the number of free places in a class."""
        return {"name": name, "shift": shift, "vacancies": self.school.vacancies(name, shift)}

    async def enrol(
        self, student: str, born: str, cpf: str, email: str, name: str, shift: Shift, context: Context[Any, Any, Any]
    ) -> Document:
        """Enrol a student in a class. Requests with the same Idempotency-Key enrol the student once."""
        request = context.request_context.request
        key = request.headers.get("idempotency-key", "") if isinstance(request, Request) else ""
        try:
            enrolment = self.school.enrol(key, name, shift, {"name": student, "born": born, "cpf": cpf, "email": email})
        except EnrolmentRefused as error:
            raise ToolError(str(error)) from None
        return {"number": enrolment["number"], "class_id": enrolment["class_id"]}

    async def _state(self, _: Request) -> JSONResponse:
        return JSONResponse(self.school.as_json())

    async def _reset(self, _: Request) -> JSONResponse:
        self.school = SchoolState()
        return JSONResponse({})


class _TokenCheck:
    """Answers requests of /mcp without the bearer token with 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _needs_token(scope) and Request(scope).headers.get("Authorization") != f"Bearer {self._token}":
            refusal = JSONResponse({"error": "expected a valid bearer token"}, status_code=401)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _needs_token(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope["path"]).startswith("/mcp")
