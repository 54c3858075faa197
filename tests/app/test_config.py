"""Settings: everything that is wrong is said at once, and no secret is ever shown."""

import dataclasses

import pytest

from app.asgi import REQUIRED_ENV
from app.channels.whatsapp.inbound import Form, signature_is_valid
from app.config import HELP, NUMBERS, Settings
from app.errors import ConfigurationError
from devkit.simulators.twilio.signing import sign

GOOD = {
    "DATABASE_URL": "postgresql://recado:secret-of-postgres@db/recado",
    "SYSTEM_DATABASE_URL": "postgresql://system:secret-of-system@db/recado",
    "REDIS_URL": "redis://:secret-of-redis@cache:6379/0",
    "RECADO_PUBLIC_URL": "https://bot.example.com",
    "RECADO_SECRET_KEY": "secret-key",
    "OPENAI_API_KEY": "secret-of-openai",
}


def settings(**changes: str) -> Settings:
    return Settings.from_environment(GOOD | changes, required=REQUIRED_ENV)


def problems(**changes: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        settings(**changes)
    return str(raised.value).splitlines()


def test_what_is_set_is_taken_and_the_rest_has_defaults() -> None:
    read = settings(RECADO_LEASE="600", RECADO_SEND_TIMEOUT="2.5", RECADO_TURNS_IN_FLIGHT="20", GROQ_API_KEY="")
    assert (read.lease, read.send_timeout, read.turns_in_flight) == (600, 2.5, 20)
    assert read.unknown_settle == Settings("", "", "").unknown_settle
    assert read.public_url == GOOD["RECADO_PUBLIC_URL"]
    assert read.twilio_api_url == "https://api.twilio.com"
    assert list(read.providers) == ["openai"]
    assert read.providers["openai"].base_url is None


def test_all_missing_variables_are_named_with_their_purpose() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_environment({"RECADO_LEASE": "soon"}, required=REQUIRED_ENV)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(REQUIRED_ENV) + 1
    for name in REQUIRED_ENV:
        assert f"{name} is not set: {HELP[name]}" in lines


def test_an_empty_variable_is_a_missing_one() -> None:
    assert problems(RECADO_SECRET_KEY="") == [f"RECADO_SECRET_KEY is not set: {HELP['RECADO_SECRET_KEY']}"]


def test_a_process_needs_no_more_than_it_says() -> None:
    assert Settings.from_environment({}, required=()).database_url == ""


@pytest.mark.parametrize("text", ["0", "-1", "x", "1s", "1,5", "nan", "inf", "1e999"])
def test_a_number_that_is_none_is_named(text: str) -> None:
    found = problems(**dict.fromkeys(NUMBERS.values(), text))
    for name in NUMBERS.values():
        assert any(name in problem and text in problem for problem in found), name


@pytest.mark.parametrize("name", ["RECADO_TURNS_IN_FLIGHT", "RECADO_TURN_ATTEMPTS"])
def test_what_is_counted_is_a_whole_number(name: str) -> None:
    """A semaphore of 2.5 places never closes."""
    (problem,) = problems(**{name: "2.5"})
    assert name in problem


@pytest.mark.parametrize(
    "url",
    [
        "bot.example.com",
        "ftp://bot.example.com",
        "https://",
        "https:///path",
        "https://bot.example.com?x=1",
        "https://bot.example.com#rc=3",
        "https://bot.example.com:port",
        "https://bot.example.com:99999",
        "https://[::1",
        "https://bot example.com",
        " https://bot.example.com",
        "https://bot.example.com\n",
    ],
)
def test_a_public_url_that_twilio_could_not_call_is_named(url: str) -> None:
    """It is the callbacks' address, too: with a wrong one Twilio refuses every reply."""
    (problem,) = problems(RECADO_PUBLIC_URL=url)
    assert "RECADO_PUBLIC_URL" in problem


@pytest.mark.parametrize(
    "url",
    ["https://bot.example.com", "https://bot.example.com/", "https://bot.example.com:8443", "http://127.0.0.1:8000/x/"],
)
def test_a_public_url_that_is_taken_is_one_that_signatures_match(url: str) -> None:
    called = settings(RECADO_PUBLIC_URL=url).public_url + "/api/v1/twilio/webhook?a=1"
    assert called.startswith(url.rstrip("/"))
    form = Form([(b"Body", b"oi")])
    assert signature_is_valid(["token"], called, form, sign(called, form.pairs, "token"))


def test_no_secret_is_shown() -> None:
    read = settings(GROQ_API_KEY="secret-of-groq", GROQ_BASE_URL="http://127.0.0.1:4020")
    assert "secret" not in repr(read).replace("secret_key", "")
    assert "secret" not in "".join(problems(RECADO_LEASE="x")).replace("RECADO_SECRET_KEY", "")


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().lease = 1.0  # type: ignore[misc]
