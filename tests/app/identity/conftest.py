from tests.app.webhooks.conftest import lasting_platform

__all__ = ["lasting_platform"]
