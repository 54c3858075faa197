"""`recado secrets`: set by name, never shown."""

import asyncio

import pytest

from tests.cli.shell import Done, recado
from tests.platform import TENANT, Platform

VALUE = "um-segredo"


async def secrets(platform: Platform, *arguments: str, typed: str = "", **environment: str) -> Done:
    """Runs the command beside the platform."""
    settings = {**platform.urls.processes, "RECADO_SECRET_KEY": platform.settings.secret_key}
    return await asyncio.to_thread(
        lambda: recado("secrets", *arguments, "--tenant", TENANT, typed=typed, **settings, **environment)
    )


async def test_a_secret_is_set_listed_without_its_value_and_removed(platform: Platform) -> None:
    assert (await secrets(platform, "list")).out == f"{TENANT} has no secrets\n"
    done = await secrets(platform, "set", "LOJA", RECADO_SECRET_VALUE=VALUE)
    assert (done.code, done.out) == (0, f"{TENANT}: LOJA is set\n")
    listed = await secrets(platform, "list")
    assert listed.out.startswith("LOJA ")
    assert VALUE not in done.out + done.err + listed.out + listed.err
    assert (await secrets(platform, "remove", "LOJA")).out == f"{TENANT}: LOJA is removed\n"
    again = await secrets(platform, "remove", "LOJA")
    assert (again.code, again.err.startswith(f"error: {TENANT} has no secret LOJA")) == (1, True)


@pytest.mark.parametrize("name", ["loja", "1A", "A-B", "A" * 61, "Ação"])
async def test_a_name_that_no_tool_could_write_is_refused(platform: Platform, name: str) -> None:
    done = await secrets(platform, "set", name, RECADO_SECRET_VALUE=VALUE)
    assert (done.code, "is no name of a secret" in done.err) == (1, True)
    assert VALUE not in done.err
    assert await platform.rows("select 1 from tenant_secrets") == []
