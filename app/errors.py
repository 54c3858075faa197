"""The base classes of Recado's errors."""


class RecadoError(Exception):
    """An error that a person can act on. Its text says what happened and what to do. Shown without a traceback."""


class ConfigurationError(RecadoError):
    """The environment lacks something, or has an unusable value."""


class NotFoundError(RecadoError):
    """The named thing does not exist, or belongs to another tenant."""


class ConflictError(RecadoError):
    """The named thing is not in the state that the request needs."""


class WebhookRefused(RecadoError):
    """A provider's request that is not stored. The provider gets `status_code`; the text is safe to show."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status_code
