"""`recado tenants`: plan, versions, diff, rollback, new and schema, as a shell sees them."""

import json
import shutil
from pathlib import Path

import psycopg
import pytest

from manifest import reference
from manifest.folder import load_folder
from tests.cli.shell import Done, recado, refused
from tests.manifest.files import changed
from tests.platform import TENANT, TENANTS

GOOD = TENANTS / TENANT
V1 = load_folder(GOOD).content_hash[:12]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The tests' tenant with another goodbye and another prompt."""
    folder = tmp_path / TENANT
    shutil.copytree(GOOD, folder)
    (folder / "assistant.yaml").write_text(changed("goodbye: Até logo!", "goodbye: Tchau!"), encoding="utf-8")
    (folder / "prompts" / "duvidas.md").write_text("Responda com calma.\n", encoding="utf-8")
    return folder


def hash_of(folder: Path) -> str:
    """The version's name."""
    return load_folder(folder).content_hash[:12]


def tenants(url: str, *arguments: str) -> Done:
    """`recado tenants …` on this database, which must work."""
    done = recado("tenants", *arguments, SYSTEM_DATABASE_URL=url)
    assert done.code == 0, done.err
    return done


def converse(url: str) -> None:
    """A conversation that is open on the current version, and one without a version."""
    with psycopg.connect(url) as connection:
        connection.execute("set role recado_system")
        connection.execute(
            "insert into channels (tenant_id, account_sid, address, auth_tokens) select id, '', '', '' from tenants"
        )
        connection.execute(
            """insert into contacts (tenant_id, channel_id, address, last_inbound_at)
               select tenant_id, id, unnest(array['ana', 'rui']), now() from channels"""
        )
        connection.execute(
            """insert into conversations (tenant_id, channel_id, contact_id, version_id)
               select c.tenant_id, c.channel_id, c.id, case when c.address = 'ana' then a.version_id end
               from contacts c join assistants a on a.tenant_id = c.tenant_id"""
        )


def test_a_plan_shows_the_changes_and_publishes_nothing(database_url: str, second: Path) -> None:
    assert tenants(database_url, "plan", str(GOOD)).out.splitlines() == [
        f"{TENANT}: {V1} would be its first version",
        "no open conversations",
    ]
    tenants(database_url, "publish", str(GOOD))
    converse(database_url)
    plan = tenants(database_url, "plan", str(second)).out.splitlines()
    assert plan == [
        f"{TENANT}: {V1} → {hash_of(second)}",
        "  ~ lifecycle.goodbye: Até logo! → Tchau!",
        "  ~ prompts/duvidas.md: 1 line added, 5 removed",
        "open conversations: 2",
        f"  {V1} (current)  bot      -                     1",
        "  no version              bot      -                     1",
        "1 open conversation on the version it opened with, until it closes: nothing changes there",
        "1 open conversation without a version, opened before the first one: its next turn runs on the new version",
        "new conversations, also of the same contacts, begin with the new version",
    ]
    verbose = tenants(database_url, "plan", "--verbose", str(second)).out
    assert "\n--- before/prompts/duvidas.md\n" in verbose
    assert "\n+Responda com calma.\n" in verbose
    (line,) = tenants(database_url, "list").out.splitlines()
    assert V1 in line
    assert "nothing changes" in tenants(database_url, "plan", str(GOOD)).out


def test_a_plan_of_an_invalid_folder_says_what_is_wrong(database_url: str, tmp_path: Path) -> None:
    done = recado("tenants", "plan", str(tmp_path), SYSTEM_DATABASE_URL=database_url)
    assert (done.code, done.out) == (1, "")
    assert "assistant.yaml" in done.err


def test_publishing_says_in_short_what_has_changed(database_url: str, second: Path) -> None:
    assert tenants(database_url, "publish", str(GOOD)).err == ""
    converse(database_url)
    assert tenants(database_url, "publish", str(second)).err.splitlines() == [
        "  2 changes: lifecycle, prompts",
        "  1 open conversation on the version it opened with, until it closes: nothing changes there",
        "  1 open conversation without a version, opened before the first one: its next turn runs on the new version",
        "  new conversations, also of the same contacts, begin with the new version",
    ]


def test_versions_are_listed_compared_and_gone_back_to(database_url: str, second: Path) -> None:
    for folder in (GOOD, second):
        tenants(database_url, "publish", str(folder))
    v2 = hash_of(second)
    listed = [line.split()[:2] for line in tenants(database_url, "versions", TENANT).out.splitlines()]
    assert listed == [[v2, "current"], [V1, "0"]]
    expected = [f"{TENANT}: {V1} → {v2}", "  ~ lifecycle.goodbye: Até logo! → Tchau!"]
    assert tenants(database_url, "diff", TENANT).out.splitlines()[:2] == expected
    assert tenants(database_url, "diff", TENANT, V1[:6], v2[:6], "-v").out.splitlines()[:2] == expected
    assert "nothing: they are the same" in tenants(database_url, "diff", TENANT, v2[:6]).out
    back = tenants(database_url, "rollback", TENANT)
    assert back.out == f"{TENANT}: version {V1} is current again, in place of {v2}\n"
    assert f"recado tenants rollback {TENANT} {v2}" in back.err
    listed = [line.split()[:2] for line in tenants(database_url, "versions", TENANT).out.splitlines()]
    assert listed == [[V1, "current"], [v2, "0"]]
    assert "had no version before" in refused("tenants", "rollback", TENANT, SYSTEM_DATABASE_URL=database_url)
    assert "has no version 'abcdef0'" in refused("tenants", "diff", TENANT, "abcdef0", SYSTEM_DATABASE_URL=database_url)
    tenants(database_url, "rollback", TENANT, v2)
    assert tenants(database_url, "versions", TENANT).out.startswith(f"{v2}  current")


@pytest.mark.parametrize("arguments", [("versions",), ("diff",), ("rollback",)])
def test_a_tenant_that_is_not_there_is_said_to_be(database_url: str, arguments: tuple[str, ...]) -> None:
    assert "no tenant 'ninguem'" in refused("tenants", *arguments, "ninguem", SYSTEM_DATABASE_URL=database_url)


def test_a_new_folder_is_valid_as_it_is_and_never_written_over(database_url: str, tmp_path: Path) -> None:
    done = recado("tenants", "new", "minha-loja", "--into", str(tmp_path))
    folder = tmp_path / "minha-loja"
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()[-3:]] == [
        ["recado", "tenants", "check", str(folder)],
        ["recado", "tenants", "test", str(folder)],
        ["recado", "demo", str(folder)],
    ]
    (folder / "assistant.yaml").write_text((folder / "assistant.yaml").read_text("utf-8") + "# meu\n", "utf-8")
    assert recado("tenants", "check", str(folder)).code == 0
    assert "exists already" in refused("tenants", "new", "minha-loja", "--into", str(tmp_path))
    assert "`--into /tmp/x minha-loja`" in refused("tenants", "new", "/tmp/x/minha-loja")
    assert "`--into .. fora`" in refused("tenants", "new", "../fora")
    assert (folder / "assistant.yaml").read_text("utf-8").endswith("# meu\n")
    assert tenants(database_url, "publish", str(folder)).out.startswith("minha-loja: published Minha Loja")


@pytest.mark.parametrize("slug", ["Minha Loja", "minha_loja"])
def test_a_new_folder_is_named_like_a_tenant(tmp_path: Path, slug: str) -> None:
    assert "cannot be a tenant's name" in refused("tenants", "new", slug, "--into", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_printed_for_editors_and_for_people() -> None:
    assert json.loads(recado("tenants", "schema").out) == reference.json_schema()
    assert recado("tenants", "schema", "--markdown").out == reference.markdown()
