"""The one tree of errors: each carries its decision, so nobody parses text."""


class RecadoError(Exception):
    """Something a person can act on: its text says what happened and what to do. Shown without a traceback."""


class ConfigurationError(RecadoError):
    """The environment lacks something, or holds something unusable."""


class NotFoundError(RecadoError):
    """The thing named does not exist, or belongs to another tenant."""


class ConflictError(RecadoError):
    """The thing named exists but is not in the state that the request needs."""


class WebhookRefused(RecadoError):
    """A provider's request that is not stored. `status_code` is what the provider gets; the text is safe to show."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status_code
