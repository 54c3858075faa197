"""Sign webhooks as Twilio does."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def sign(url: str, params: Iterable[tuple[str | bytes, str | bytes]], token: str) -> str:
    """Return the X-Twilio-Signature of a form post.

    The signed text is the URL and the parameters, sorted by bytes and without separators. Equal pairs count once.
    """
    pairs = sorted({(_bytes(name), _bytes(value)) for name, value in params})
    signed = url.partition("#")[0].encode() + b"".join(name + value for name, value in pairs)
    return base64.b64encode(hmac.digest(token.encode(), signed, hashlib.sha1)).decode()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
