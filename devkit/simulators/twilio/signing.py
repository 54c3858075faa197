"""Sign webhooks as Twilio does."""

import base64
import hashlib
import hmac


def sign(url: str, params: list[tuple[str, str]], token: str) -> str:
    """Return the X-Twilio-Signature of a form post.

    The signed text is the URL and the parameters, sorted by code points and without separators. Equal pairs count once.
    """
    text = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()
