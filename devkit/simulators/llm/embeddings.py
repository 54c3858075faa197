"""Compute embeddings from hashed words. The same text gives the same unit vector, and similar texts near ones."""

import base64
import math
import re
import unicodedata
import zlib
from array import array
from collections.abc import Iterator
from functools import lru_cache

from devkit.simulators.llm import codec
from devkit.simulators.llm.chat import RequestRejected, count_tokens

_DIMENSIONS = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_MOST_DIMENSIONS = 8192
_WORD = re.compile(r"\w+")


def respond(body: bytes) -> tuple[str, list[str], bytes]:
    """Answer a request of /v1/embeddings. Return the model, the texts and the body of the answer."""
    payload = codec.loads(body)
    model = payload["model"]
    texts = _texts(payload.get("input"))
    dimensions = payload.get("dimensions") or _DIMENSIONS.get(model, _DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or not 0 < dimensions <= _MOST_DIMENSIONS:
        raise RequestRejected(400, f"Invalid value for 'dimensions' = {dimensions}.", param="dimensions")
    packed = payload.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector(text, dimensions), packed)}
        for index, text in enumerate(texts)
    ]
    used = sum(count_tokens(len(text)) for text in texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return model, texts, codec.dumps({"object": "list", "data": data, "model": model, "usage": usage})


def _texts(given: object) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list) and given and all(isinstance(item, int) for item in given):
        given = [given]
    if not isinstance(given, list) or not given or any(item in ("", []) for item in given):
        raise RequestRejected(400, "'$.input' is invalid. Please check the API reference.", param="input")
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in given]


def _encoded(values: array[float], packed: bool) -> str | list[float]:
    return base64.b64encode(values.tobytes()).decode() if packed else values.tolist()


@lru_cache(maxsize=1024)
def vector(text: str, dimensions: int) -> array[float]:
    """Return the unit vector of a text."""
    values = [0.0] * dimensions
    for feature, weight in _features(text):
        number = zlib.crc32(feature.encode())
        values[number % dimensions] += weight if number >> 31 else -weight
    length = math.sqrt(sum(value * value for value in values))
    if not length:
        values[0] = length = 1.0
    return array("f", (value / length for value in values))


def _features(text: str) -> Iterator[tuple[str, float]]:
    bare = unicodedata.normalize("NFKD", text.lower())
    folded = "".join(character for character in bare if not unicodedata.combining(character))
    for word in _WORD.findall(folded):
        # Short words get less weight. Trigrams bring inflections of a word together.
        yield word, 1.0 if len(word) > 3 else 0.2
        marked = f"<{word}>"
        for start in range(len(marked) - 2):
            yield marked[start : start + 3], 0.25 if len(word) > 3 else 0.05
