"""`recado tenants`: from a folder to the version that new conversations get."""

import shutil
from pathlib import Path

import pytest

from devkit.database_urls import DatabaseUrls
from manifest.folder import load_folder
from tests.cli.shell import recado
from tests.manifest.files import changed, place
from tests.platform import TENANT, TENANTS

GOOD = TENANTS / TENANT
NAME = "Clínica de Testes"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A tenant with a slip of the pen."""
    return folder(tmp_path / "broken", changed("idle: 23h", "idel: 24h"))


def folder(path: Path, text: str) -> Path:
    """The tests' tenant elsewhere, with this YAML."""
    shutil.copytree(GOOD, path)
    (path / "assistant.yaml").write_text(text, encoding="utf-8")
    return path


def slip(broken: Path) -> str:
    """What is said about the slip of the pen."""
    where = place(changed("idle: 23h", "idel: 24h"), "idel")
    return f"{broken}/{where}: unknown key `idel`: did you mean `idle`?"


def test_what_is_valid_is_said_to_be(tmp_path: Path) -> None:
    renamed = folder(tmp_path / "outra", changed(f"name: {NAME}", "name: Outra"))
    done = recado("tenants", "check", str(GOOD), str(renamed))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{GOOD}: {NAME} is valid (agents: agenda, duvidas)",
        f"{renamed}: Outra is valid (agents: agenda, duvidas)",
    ]


def test_check_reports_problems_of_all_folders(tmp_path: Path, broken: Path) -> None:
    unreadable = folder(tmp_path / "unreadable", "name: Clínica\nagents: {\n")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    done = recado("tenants", "check", str(broken), str(unreadable), str(nothing), str(GOOD))
    assert (done.code, done.out) == (1, f"{GOOD}: {NAME} is valid (agents: agenda, duvidas)\n")
    first, second, third = done.err.splitlines()
    assert first == slip(broken)
    assert second.startswith(f"{unreadable}/assistant.yaml:3:1: ")
    assert third.startswith(f"{nothing}/assistant.yaml")


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = recado("tenants", "check", str(tmp_path / "nowhere"))
    assert (done.code, done.out) == (2, "")
    assert "does not exist" in done.err


def test_what_is_published_is_listed_in_its_newest_version(database_url: str, tmp_path: Path) -> None:
    assert recado("tenants", "list", SYSTEM_DATABASE_URL=database_url).out.startswith("no tenants yet: ")
    renamed = folder(tmp_path / TENANT, changed(f"name: {NAME}", "name: Clínica Nova"))
    for source, name in ((GOOD, NAME), (renamed, "Clínica Nova")):
        version = load_folder(source).content_hash[:12]
        published = recado("tenants", "publish", str(source), SYSTEM_DATABASE_URL=database_url)
        assert (published.code, published.out) == (0, f"{TENANT}: published {name}, version {version}\n")
        again = recado("tenants", "publish", str(source), SYSTEM_DATABASE_URL=database_url)
        assert (again.code, again.out) == (0, f"{TENANT}: unchanged: {name}, version {version}\n")
        (line,) = recado("tenants", "list", SYSTEM_DATABASE_URL=database_url).out.splitlines()
        assert line.split()[:3] == [TENANT, version, "published"]
        assert line.endswith(f"   {'0 open conversations':24} {name}")


def test_an_invalid_folder_does_not_stop_the_others(database_url: str, broken: Path) -> None:
    done = recado("tenants", "publish", str(broken), str(GOOD), SYSTEM_DATABASE_URL=database_url)
    assert done.code == 1
    assert done.err.splitlines() == [slip(broken), f"{broken}: not published"]
    assert done.out.startswith(f"{TENANT}: published {NAME}")
    (line,) = recado("tenants", "list", SYSTEM_DATABASE_URL=database_url).out.splitlines()
    assert line.startswith(TENANT)


@pytest.mark.parametrize("name", ["Minha Clínica", "minha_clinica"])
def test_a_folder_whose_name_is_no_slug_is_not_published(database_url: str, tmp_path: Path, name: str) -> None:
    done = recado("tenants", "publish", str(shutil.copytree(GOOD, tmp_path / name)), SYSTEM_DATABASE_URL=database_url)
    assert (done.code, done.out) == (1, "")
    assert name in done.err


def test_a_tenant_is_created_before_it_publishes(urls: DatabaseUrls) -> None:
    environment = urls.processes
    for said in ("created", "is there already"):
        done = recado("tenants", "create", "minha-loja", **environment)
        assert (done.code, done.out) == (0, f"minha-loja: {said}\n")
    key = recado("check", "--new-secret-key").out.strip()
    secret = {"RECADO_SECRET_VALUE": "x", "RECADO_SECRET_KEY": key}
    done = recado("secrets", "set", "--tenant", "minha-loja", "LOJA_TOKEN", **environment, **secret)
    assert (done.code, done.out) == (0, "minha-loja: LOJA_TOKEN is set\n")
    unknown = recado("secrets", "set", "--tenant", "outra", "LOJA_TOKEN", **environment, **secret)
    assert "`recado tenants create outra`" in unknown.err


def test_check_reads_scenarios(tmp_path: Path) -> None:
    tenant = folder(tmp_path / "outra", changed(f"name: {NAME}", "name: Outra"))
    (tenant / "scenarios").mkdir()
    (tenant / "scenarios" / "oi.yaml").write_text("name: oi\nstepz: []\n", encoding="utf-8")
    done = recado("tenants", "check", str(tenant))
    assert done.code == 1
    assert f"{tenant}/scenarios/oi.yaml:2:1: " in done.err


def test_check_says_once_what_several_aliases_name(tmp_path: Path) -> None:
    tools = """tools:
  um: {description: a, parameters: &p {type: objekt}, http: {url: "https://a.example/x"}}
  dois: {description: b, parameters: *p, http: {url: "https://a.example/y"}}
"""
    tenant = folder(tmp_path / "outra", changed(f"name: {NAME}", "name: Outra") + tools)
    done = recado("tenants", "check", str(tenant))
    assert len(done.err.splitlines()) == 1, done.err
