"""Secrets at rest: what is stored says nothing without the key, and keys can be changed."""

import pytest

from app.crypto import SecretBox, new_secret_key
from app.errors import ConfigurationError

SECRETS = ["the-first-token", "o-segundo-ção"]


def test_what_was_sealed_can_be_opened() -> None:
    box = SecretBox(new_secret_key())
    assert box.unseal(box.seal(SECRETS)) == tuple(SECRETS)
    assert box.unseal(box.seal([])) == ()


def test_what_is_sealed_shows_nothing() -> None:
    box = SecretBox(new_secret_key())
    sealed = box.seal(SECRETS)
    assert all(secret.encode() not in sealed for secret in SECRETS)
    assert box.seal(SECRETS) != sealed, "equal secrets must not look equal"


def test_an_older_key_decrypts_and_the_newest_encrypts() -> None:
    old, new = new_secret_key(), new_secret_key()
    rotated = SecretBox(f"{new}, {old}")
    assert rotated.unseal(SecretBox(old).seal(SECRETS)) == tuple(SECRETS)
    assert SecretBox(new).unseal(rotated.seal(SECRETS)) == tuple(SECRETS)
    with pytest.raises(ConfigurationError):
        SecretBox(old).unseal(rotated.seal(SECRETS))


def test_without_its_key_a_secret_stays_shut_and_unnamed() -> None:
    keys = new_secret_key(), new_secret_key()
    sealed = SecretBox(keys[0]).seal(SECRETS)
    with pytest.raises(ConfigurationError, match="RECADO_SECRET_KEY") as raised:
        SecretBox(keys[1]).unseal(sealed)
    assert not any(secret in str(raised.value) for secret in [*SECRETS, *keys, sealed.decode()])


@pytest.mark.parametrize("tampered", [b"", b"nothing of ours", b"\x00\xff"])
def test_what_nobody_sealed_does_not_open(tampered: bytes) -> None:
    with pytest.raises(ConfigurationError):
        SecretBox(new_secret_key()).unseal(tampered)


def test_a_changed_byte_does_not_open() -> None:
    box = SecretBox(new_secret_key())
    sealed = bytearray(box.seal(SECRETS))
    sealed[20] ^= 1
    with pytest.raises(ConfigurationError):
        box.unseal(bytes(sealed))


@pytest.mark.parametrize("keys", ["", " ", "short", "é" * 44, "A" * 43, "A" * 43 + "=,", "," + "A" * 43 + "="])
def test_an_unusable_key_is_named_but_not_shown(keys: str) -> None:
    with pytest.raises(ConfigurationError, match="RECADO_SECRET_KEY") as raised:
        SecretBox(keys)
    assert not keys.strip(" ,") or keys.strip(" ,") not in str(raised.value)


def test_new_keys_are_usable_and_new() -> None:
    keys = {new_secret_key() for _ in range(10)}
    assert len(keys) == 10
    assert all(SecretBox(key).unseal(SecretBox(key).seal(SECRETS)) for key in keys)
