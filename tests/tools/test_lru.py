"""A cache that drops the least recently used values when it is too heavy."""

from tools.lru import LruCache


def test_the_least_recently_used_goes_first() -> None:
    cache = LruCache[str, str](2)
    cache.put("a", "A")
    cache.put("b", "B")
    assert cache.get("a") == "A"
    cache.put("c", "C")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")


def test_values_have_weights() -> None:
    cache = LruCache[int, str](10, weigh=len)
    for number in range(5):
        cache.put(number, "xxx")
    assert [number for number in range(5) if cache.get(number)] == [2, 3, 4]


def test_a_value_takes_the_place_of_its_key() -> None:
    cache = LruCache[str, str](10, weigh=len)
    for _ in range(100):
        cache.put("a", "xxxxx")
    cache.put("b", "xxxxx")
    assert cache.get("a") == cache.get("b") == "xxxxx"


def test_a_value_that_is_too_heavy_is_kept_alone() -> None:
    cache = LruCache[str, str](3, weigh=len)
    cache.put("a", "x")
    cache.put("b", "xxxxx")
    assert (cache.get("a"), cache.get("b")) == (None, "xxxxx")
    cache.put("c", "x")
    assert (cache.get("b"), cache.get("c")) == (None, "x")
