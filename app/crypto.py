"""Encrypt secrets at rest under RECADO_SECRET_KEY, which may list older keys after the current one."""

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.errors import ConfigurationError


class SecretBox:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: str) -> None:
        """Take one or more keys, separated by commas. Raises ConfigurationError."""
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError:
            raise ConfigurationError(
                "RECADO_SECRET_KEY is not usable: make one with `recado check --new-secret-key`"
            ) from None

    def seal(self, secrets: list[str]) -> bytes:
        """Encrypt secrets for storage."""
        return self._fernet.encrypt(json.dumps(secrets).encode())

    def unseal(self, sealed: bytes) -> tuple[str, ...]:
        """Decrypt secrets. Raises ConfigurationError when no key fits."""
        try:
            return tuple(json.loads(self._fernet.decrypt(sealed)))
        except InvalidToken:
            raise ConfigurationError(
                "a stored token does not open with RECADO_SECRET_KEY: "
                "put the key it was stored with after the new one, separated by a comma"
            ) from None


def new_secret_key() -> str:
    """Return a new key for RECADO_SECRET_KEY."""
    return Fernet.generate_key().decode()
