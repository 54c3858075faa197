"""The API's process: what it answers besides webhooks, what it says when it fails, and how it starts and ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from app.crypto import new_secret_key
from app.supervisor import Child
from devkit.database_urls import DatabaseUrls
from tests.platform import TOKEN, Log, Platform

MODEL_CLIENTS = ("langgraph", "langchain_core", "langchain_openai", "openai", "groq", "google", "numpy", "tiktoken")


async def asked(platform: Platform, path: str, method: str = "GET") -> tuple[int, str]:
    async with platform.http.request(method, platform.settings.public_url + path) as answer:
        return answer.status, await answer.text()


async def test_a_living_process_says_so(platform: Platform, log: Log) -> None:
    assert await asked(platform, "/healthz") == (200, '{"status":"ok"}')
    assert log.lines == []


async def test_there_is_nothing_else(platform: Platform, log: Log) -> None:
    for path in (
        "/",
        "/schema",
        "/schema/openapi.json",
        "/docs",
        "/api/v1/twilio",
        "/api/v1/twilio/webhook/x",
        "/.env",
    ):
        log.clear()
        status, text = await asked(platform, path)
        assert (status, json.loads(text)) == (404, {"error": "Not Found"})
        (line,) = log.lines
        assert (line["level"], line["status_code"]) == ("warning", 404)


async def test_an_internal_error_leaks_nothing(platform: Platform, log: Log) -> None:
    message = platform.webhook("um segredo do contato")
    with psycopg.connect(platform.urls.owner, autocommit=True) as connection:
        connection.execute("alter table inbox rename to elsewhere")
        assert await platform.post(message) == (500, '{"error":"internal error"}')
        (line,) = log.lines
        assert (line["event"], line["level"]) == ("request failed", "error")
        assert line["error"][0].startswith("UndefinedTable 42P01")
        for secret in ("segredo", "elsewhere", "Ana", TOKEN, message[-2][1]):
            assert secret not in log.text
        assert await platform.rows("select 1 from contacts") == []
        connection.execute("alter table elsewhere rename to inbox")
    # Nothing was acknowledged, so Twilio may come again.
    assert (await platform.post(message))[0] == 200
    assert len(await platform.rows("select 1 from inbox")) == 1


class TestProcess:
    def environment(self, **variables: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **variables}

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", "api", "--port", "0"]
        environment = self.environment(**variables)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def test_it_starts_without_redis_answers_and_ends_when_asked(self, urls: DatabaseUrls, tmp_path: Path) -> None:
        variables = {
            **urls.processes,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "RECADO_PUBLIC_URL": "https://bot.example.com",
            "RECADO_SECRET_KEY": new_secret_key(),
        }
        port = free_port()
        command = [sys.executable, "-m", "cli", "api", "--port", str(port)]
        child = Child("api", command, self.environment(**variables), tmp_path / "log")
        child.start()
        try:
            assert child.wait_until_ready().strip() == f"recado api ready on http://127.0.0.1:{port}"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
                assert "server" not in {name.lower() for name in answer.headers}
        finally:
            code = child.stop()
        # The server ends by the signal that it was sent, once it has finished.
        assert code in (0, -signal.SIGTERM)
        output = child.output()
        assert "Traceback" not in output
        assert variables["RECADO_SECRET_KEY"] not in output

    def test_it_says_all_that_is_missing(self) -> None:
        ran = self.run()
        assert ran.returncode == 1
        for name in ("DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL", "RECADO_PUBLIC_URL", "RECADO_SECRET_KEY"):
            assert name in ran.stderr
        assert "Traceback" not in ran.stderr

    @pytest.mark.parametrize("key", ["", "not-a-key"])
    def test_it_refuses_to_start_without_postgres_or_key(self, urls: DatabaseUrls, key: str) -> None:
        ran = self.run(
            DATABASE_URL=urls.app if key else "postgresql://recado:geheim@127.0.0.1:1/recado",
            SYSTEM_DATABASE_URL=urls.system,
            REDIS_URL="redis://127.0.0.1:1/0",
            RECADO_PUBLIC_URL="https://bot.example.com",
            RECADO_SECRET_KEY=key or new_secret_key(),
        )
        assert ran.returncode == 1
        assert ("RECADO_SECRET_KEY" if key else "Postgres does not answer") in ran.stderr
        for word in ("Traceback", "geheim", "not-a-key"):
            assert word not in ran.stderr

    def test_it_imports_no_model_client(self) -> None:
        program = "import sys, app.asgi; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert set(MODEL_CLIENTS).isdisjoint(ran.stdout.split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
