"""Answer requests for the list of messages, with filters and pages."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from devkit.simulators.twilio.errors import TwilioError
from devkit.simulators.twilio.resource import resource
from devkit.simulators.twilio.store import MessageStore, TwilioMessage

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")

Query = dict[str, str]
MessageFilter = Callable[[TwilioMessage], bool]


def list_messages(store: MessageStore, account: str, query: Query) -> dict[str, Any]:
    """Return one page, newest first.

    The page token names the newest message of the first page. Later messages are left out, so pages do not shift.
    """
    size = min(max(_parse_whole_number(query, "PageSize", DEFAULT_PAGE_SIZE), 1), MAX_PAGE_SIZE)
    page = _parse_whole_number(query, "Page", 0)
    filters = [_make_filter(name, query[name]) for name in FILTERS if name in query]
    newest = _newest_index(store, query)
    matching = (
        message
        for message in _candidates(store, account, query)
        if message.index <= newest and message.account_sid == account and all(passes(message) for passes in filters)
    )
    start = page * size
    found = list(islice(matching, start, start + size + 1))
    token = query.get("PageToken") or (f"PA{found[0].sid}" if found else "")
    parameters = {name: query[name] for name in FILTERS if name in query} | {"PageSize": str(size)}

    def uri(number: int) -> str:
        page_token = {"PageToken": token} if number and token else {}
        return (
            f"/2010-04-01/Accounts/{account}/Messages.json?{urlencode(parameters | {'Page': str(number)} | page_token)}"
        )

    shown = found[:size]
    return {
        "first_page_uri": uri(0),
        "end": start + max(len(shown) - 1, 0),
        "previous_page_uri": uri(page - 1) if page else None,
        "messages": [resource(message) for message in shown],
        "uri": uri(page),
        "page_size": size,
        "start": start,
        "next_page_uri": uri(page + 1) if len(found) > size else None,
        "page": page,
    }


def _candidates(store: MessageStore, account: str, query: Query) -> Iterator[TwilioMessage]:
    """Yield the messages of one contact if a filter names it, so that a look-up is cheap under load."""
    for name in ("To", "From"):
        if query.get(name) in store.by_contact:
            return reversed(store.by_contact[query[name]])
    return reversed(store.by_account.get(account, []))


def _newest_index(store: MessageStore, query: Query) -> int:
    token = query.get("PageToken")
    if token is None:
        return store.index
    pinned = store.by_sid.get(token.removeprefix("PA"))
    if pinned is None:
        raise TwilioError(20001, "PageToken")
    return pinned.index


def _parse_whole_number(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise TwilioError(20001, name)
    return int(text)


def _make_filter(name: str, text: str) -> MessageFilter:
    if name == "To":
        return lambda message: message.recipient == text
    if name == "From":
        return lambda message: message.sender == text
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise TwilioError(20001, name) from error
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    begin = int(given.timestamp())
    end = begin + (86_399 if len(text) == len("2026-01-31") else 0)
    if name == "DateSent<":
        return lambda message: message.sent_at is not None and int(message.sent_at) <= end
    if name == "DateSent>":
        return lambda message: message.sent_at is not None and int(message.sent_at) >= begin
    return lambda message: message.sent_at is not None and begin <= int(message.sent_at) <= end
