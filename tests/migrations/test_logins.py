"""The logins that migrating makes: they own nothing, and may take one role."""

import psycopg
import pytest

import migrations
from devkit import embedded
from devkit.database_urls import DatabaseUrls
from tests.cli.shell import recado, refused

LOGINS = """
select rolname::text, rolinherit, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls,
    array(
        select granted.rolname::text from pg_auth_members m join pg_roles granted on granted.oid = m.roleid
        where m.member = r.oid and m.set_option and not m.inherit_option and not m.admin_option
    )
from pg_roles r where rolname like %s order by 1
"""


@pytest.fixture
def clinic(hosted: embedded.Postgres) -> DatabaseUrls:
    """The URLs of a database on a cluster without our roles, whose owner is no superuser."""
    return DatabaseUrls.of_owner(f"postgresql://clinic:clinic@127.0.0.1:{hosted.port}/one")


def test_migrating_makes_logins_that_may_take_one_role(clinic: DatabaseUrls, hosted: embedded.Postgres) -> None:
    first, second = recado("migrate", **clinic.environment), recado("migrate", **clinic.environment)
    made = ["made the login recado_app_login", "made the login recado_system_login"]
    assert [line for line in first.out.splitlines() if line.startswith("made")] == made
    assert second.out == "the database is up to date\n"
    with psycopg.connect(hosted.url) as connection:
        assert connection.execute(LOGINS, ["recado%login"]).fetchall() == [
            ("recado_app_login", False, False, ["recado_app"]),
            ("recado_system_login", False, False, ["recado_system"]),
        ]
    for url, other in ((clinic.app, "recado_system"), (clinic.system, "recado_app")):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select set_config('role', %s, true)", [other])


def test_an_existing_login_keeps_its_password(clinic: DatabaseUrls) -> None:
    list(clinic.migrate())
    changed = {name: url.replace(":" + url.split(":")[2], ":other@127.0.0.1") for name, url in clinic.processes.items()}
    assert list(migrations.make_logins(clinic.owner, changed)) == []
    psycopg.connect(clinic.app).close()


def test_an_owner_who_may_not_create_roles_says_how(clinic: DatabaseUrls, hosted: embedded.Postgres) -> None:
    list(migrations.apply(clinic.owner))
    with psycopg.connect(hosted.url, autocommit=True) as connection:
        connection.execute("alter role clinic nocreaterole")
    done = recado("migrate", **clinic.environment)
    assert done.code == 1
    assert "grant recado_app to recado_app_login with inherit false, set true" in done.err
    assert clinic.app.split(":")[2].partition("@")[0] not in done.err


@pytest.mark.parametrize("variable", ["DATABASE_URL", "SYSTEM_DATABASE_URL"])
def test_the_owner_is_no_login_of_a_process(clinic: DatabaseUrls, variable: str) -> None:
    said = recado("migrate", **{**clinic.environment, variable: clinic.owner}).err
    assert f"{variable} must name another login than OWNER_DATABASE_URL, not 'clinic'" in said


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1/one", "postgres//clinic:geheim@127.0.0.1/one"])
def test_a_url_without_a_login_is_said_and_not_shown(clinic: DatabaseUrls, url: str) -> None:
    said = recado("migrate", **{**clinic.environment, "DATABASE_URL": url}).err
    assert "DATABASE_URL must name a login" in said
    assert "geheim" not in said


def test_migrating_needs_the_owner(clinic: DatabaseUrls) -> None:
    assert "OWNER_DATABASE_URL is not set" in refused("migrate", **clinic.processes)
