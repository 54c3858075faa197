import base64
import hashlib
import hmac


def sign(url: str, params: list[tuple[str, str]], token: str) -> str:
    """The X-Twilio-Signature of a form post: names in code-point order, equal pairs once, no separators."""
    text = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()
