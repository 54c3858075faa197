"""List the guards: for each shipped scenario, the lines of code without which it fails."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GuardRemoval:
    """A replacement in a file that removes a guard."""

    file: str
    old: str
    new: str


GUARDS: dict[str, tuple[GuardRemoval, ...]] = {
    "cw-13673-talks-over-the-operator": (
        GuardRemoval(
            "app/turns/plan.py",
            '    if claim.status in ("waiting", "human"):\n        return _plan_for_operator(claim)\n',
            "",
        ),
    ),
    "cw-15068-handed-over-for-ever": (
        GuardRemoval("graphs/nodes/recall.py", "            if more or ", "            if False and "),
    ),
    "says-goodbye": (GuardRemoval("app/turns/settle.py", 'else "closed" if turn["closed"] else "bot"', 'else "bot"'),),
    "cw-15901-stale-run-goes-in-circles": (
        GuardRemoval("graphs/nodes/call_model.py", "if len(calls) >= limits.model_calls_per_turn:", "if False:"),
    ),
    "fz-49-two-turns-at-once": (
        GuardRemoval(
            "app/turns/engine.py",
            "        elif address in self._draining:\n            self._nudged_again.add(address)\n",
            "",
        ),
    ),
    "fz-588-answers-between-the-bubbles": (
        GuardRemoval(
            "app/conversations/shared_ctes.py", "bigint is not null as free", "bigint is not null or true as free"
        ),
    ),
    "fz-457-silent-after-the-hand-back": (
        GuardRemoval("graphs/nodes/handoff.py", '*_superseded(assistant, state["messages"]), ', ""),
    ),
    "tb-1453-triggered-twice": (
        GuardRemoval(
            "app/inbox/queries.py",
            "%(now)s::timestamptz + coalesce(v.debounce, '0')",
            "%(now)s::timestamptz",
        ),
    ),
    "ev-2737-delivered-twice": (
        GuardRemoval(
            "app/inbox/queries.py",
            "where account_sid = %(account_sid)s and provider_sid = %(provider_sid)s",
            "where false",
        ),
        GuardRemoval("migrations/0004_inbox.sql", "),\n    unique (account_sid, provider_sid)", ")"),
    ),
    "omni-225-only-the-last-message": (
        GuardRemoval(
            "app/turns/graph_input.py",
            '"messages": human_messages(items, quoted)',
            '"messages": human_messages(items)[-1:]',
        ),
    ),
    "dies-after-booking": (
        GuardRemoval(
            "app/turns/tool_runner.py", "if not await journal.begin_call(", "if None is await journal.begin_call("
        ),
    ),
    "dies-after-posting": (
        GuardRemoval("app/outbox/queries.py", "            else 'unknown'\n", "            else 'sending'\n"),
    ),
}
