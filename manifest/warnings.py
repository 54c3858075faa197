"""What a valid manifest asks for that will not happen."""

import re
from collections.abc import Iterator

from manifest.schema import Manifest
from manifest.yaml_source import Location

FREE_FORM_FOR = 24 * 3600.0
"""Seconds after a contact's message in which WhatsApp takes free text."""


HANDOFF_NAME = re.compile(
    r"human|atendente|operador|hand_?(?:off|over)|escala(?:te|r)|(?:transfer|talk|speak)_to|falar_com|chamar_(?:alguem|pessoa)"
)


def warnings_of(document: Manifest) -> Iterator[tuple[Location, str]]:
    """Yield what will not happen as it is meant: texts that are said too late, calls of people by other tools."""
    yield from _handoffs(document)
    lifecycle, handoff, approvals = document.lifecycle, document.handoff, document.approvals
    if lifecycle.idle is not None:
        goodbye_after = lifecycle.idle * (2 if lifecycle.idle_message else 1)
        if lifecycle.idle_message and lifecycle.idle >= FREE_FORM_FOR:
            yield ("lifecycle", "idle"), _late("`idle_message`", lifecycle.idle, "idle", FREE_FORM_FOR / 2)
        elif lifecycle.goodbye and goodbye_after >= FREE_FORM_FOR:
            least = FREE_FORM_FOR * lifecycle.idle / goodbye_after
            yield ("lifecycle", "idle"), _late("`goodbye`", goodbye_after, "idle", least)
    if handoff.timeout is not None and handoff.timeout >= FREE_FORM_FOR:
        yield ("handoff", "timeout"), _late("what follows the timeout", handoff.timeout, "timeout", FREE_FORM_FOR)
    if handoff.sla is not None and handoff.sla >= FREE_FORM_FOR:
        yield ("handoff", "sla"), _late("an operator's answer", handoff.sla, "sla", FREE_FORM_FOR)
    if approvals.timeout is not None and approvals.timeout >= FREE_FORM_FOR:
        yield ("approvals", "timeout"), _late("what follows the timeout", approvals.timeout, "timeout", FREE_FORM_FOR)


def _handoffs(document: Manifest) -> Iterator[tuple[Location, str]]:
    for name, tool in document.tools.items():
        if tool.handoff is None and HANDOFF_NAME.search(name):
            remedy = f"If it calls a person, write `handoff: true` in place of `{tool.kind}`"
            yield ("tools", name), f"a call of `{name}` does not stop the assistant. {remedy}"


def _late(what: str, after: float, key: str, below: float) -> str:
    return (
        f"{what} comes {after / 3600:g} h after the contact's last message, and WhatsApp takes no free text after "
        f"24 h: it will not be sent. Write less than {below / 3600:g}h for `{key}`"
    )
