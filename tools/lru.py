"""A cache with a bound."""

from collections import OrderedDict
from collections.abc import Callable


def _one(_: object) -> int:
    return 1


class LruCache[Key, Value]:
    """Keeps values up to a total weight. The least recently used ones go first.

    `weigh` returns the weight of a value; by default each value weighs 1. A value that alone is too heavy is kept until
    the next one comes.
    """

    def __init__(self, capacity: int, weigh: Callable[[Value], int] = _one) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Key) -> Value | None:
        """Return a value, or None. It is then the most recently used one."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and drop others as far as necessary."""
        self._drop(key)
        weight = self._weigh(value)
        self._values[key] = (value, weight)
        self._weight += weight
        while self._weight > self._capacity and len(self._values) > 1:
            self._drop(next(iter(self._values)))

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()
        self._weight = 0

    def _drop(self, key: Key) -> None:
        if key in self._values:
            self._weight -= self._values.pop(key)[1]
