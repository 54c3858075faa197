"""Start real servers once a session: embedded Postgres and Valkey, and the simulators of Twilio and models."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psycopg
import pytest
import redis

from app import telemetry
from devkit import embedded
from devkit.bytecode import compile_once
from devkit.database_urls import DatabaseUrls
from devkit.stack import Processes
from tests.platform import Log, Platform, SimulatorUrls, running_platform
from tests.reusable_database import ReusableDatabase

LOG = Log()
with contextlib.redirect_stderr(LOG):
    telemetry.setup("json")

SCRIPTS = Path(__file__).parent / "data" / "scripts"


def pytest_configure(config: pytest.Config) -> None:
    """Compile the packages before the test processes start."""
    if not hasattr(config, "workerinput"):
        compile_once(print)


SLOW = (
    "devkit",
    "recipes",
    "plans",
    "cli",
    "app/test_read_only.py",
    "app/test_full_disk.py",
    "app/webhooks/test_outage.py",
    "app/test_listening.py",
    "app/test_supervisor.py",
    "app/turns",
    "app/assistants",
    "app/retention",
    "app/outbox",
    "app/conversations",
    "app/test_broker.py",
    "migrations",
    "app/test_asgi.py",
    "app/test_log_output.py",
    "graphs/test_fallback.py",
    "graphs/test_llm_client.py",
    "tools/kinds/test_mcp.py",
    "test_demo_tenants.py",
    "test_phone_page.py",
    "test_road.py",
)
"""The tests that start processes or run whole conversations, longest first. `just test-fast` leaves them out."""

MOST_WORKERS = 4


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of test processes: one more than processors, because some tests wait."""
    return min(MOST_WORKERS, (os.cpu_count() or 1) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and run them first, so that no process is left with a long file at the end."""
    folders = [Path(__file__).parent / name for name in SLOW]

    def rank(item: pytest.Item) -> int:
        return next((number for number, folder in enumerate(folders) if item.path.is_relative_to(folder)), len(folders))

    items.sort(key=rank)
    for item in items:
        if rank(item) < len(folders):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def log() -> Log:
    """Return the log of this process, emptied."""
    LOG.clear()
    return LOG


@pytest.fixture(scope="session")
def embedded_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedServers]:
    """Yield Postgres and Valkey, without durability."""
    with embedded.servers(tmp_path_factory.mktemp("servers"), durable=False) as servers:
        yield servers


@pytest.fixture(scope="session")
def template_database(embedded_servers: embedded.EmbeddedServers) -> str:
    """Return the name of a migrated database. The tests use copies of it."""
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as connection:
        connection.execute("create database template")
    url = embedded_servers.database_url.replace("/recado", "/template")
    assert list(DatabaseUrls.of_owner(url).migrate())
    return "template"


@pytest.fixture(scope="session")
def reusable_database(embedded_servers: embedded.EmbeddedServers, template_database: str) -> Iterator[ReusableDatabase]:
    """Yield one database for all tests of this process. `database_url` empties it."""
    with psycopg.connect(embedded_servers.database_url, autocommit=True) as server:
        yield ReusableDatabase(server, embedded_servers.database_url.replace("/recado", "/test"), template_database)


@pytest.fixture
def database_url(reusable_database: ReusableDatabase) -> str:
    """Return the URL of a database with our tables and without rows, as superuser."""
    reusable_database.reset()
    return reusable_database.url


@pytest.fixture
def urls(database_url: str) -> DatabaseUrls:
    """Return the URLs of the same database, as each login."""
    return DatabaseUrls.of_owner(database_url)


@pytest.fixture
def redis_url(embedded_servers: embedded.EmbeddedServers) -> str:
    """Return the URL of an empty Valkey."""
    with redis.Redis.from_url(embedded_servers.redis_url) as client:
        client.flushall()
    return embedded_servers.redis_url


@pytest.fixture(scope="session")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorUrls]:
    """Run the simulators of Twilio and models, as processes."""
    processes = Processes({}, tmp_path_factory.mktemp("simulators"))
    scripts = [argument for path in sorted(SCRIPTS.glob("*.yaml")) for argument in ("--script", str(path))]
    processes.add("twilio", "devkit.simulators.twilio", "--port", "0", "--callback-delay", "0")
    processes.add("model", "devkit.simulators.llm", "--port", "0", *scripts)
    addresses = processes.start()
    yield SimulatorUrls(twilio=addresses["twilio"], model=addresses["model"])
    processes.stop()


@pytest.fixture
async def platform(database_url: str, redis_url: str, simulators: SimulatorUrls) -> AsyncIterator[Platform]:
    """Run the API and a worker's engine in this process, with a clock that the test sets and one tenant."""
    async with aiohttp.ClientSession() as http:
        for address in (simulators.twilio, simulators.model):
            async with http.post(f"{address}/control/reset", json={}) as answer:
                assert answer.status == 200
        async with running_platform(database_url, redis_url, simulators, http) as running:
            yield running
