"""Print plans."""

from collections.abc import Iterator

from app.assistants.plan import Lost, Moving, PublishPlan
from app.assistants.service import SHORT


def plan_lines(plan: PublishPlan, *, verbose: bool) -> Iterator[str]:
    """Return a plan as lines. With `verbose` the prompts' changes are shown line by line."""
    new = plan.new[:SHORT]
    if plan.current is None:
        yield f"{plan.slug}: {new} would be its first version"
    elif plan.current == plan.new:
        yield f"{plan.slug}: nothing changes, {new} is the current version"
    else:
        yield f"{plan.slug}: {plan.current[:SHORT]} → {new}"
        yield from (f"  {change}" for change in plan.changes or ("only comments, or how it is written",))
    if verbose and plan.diff:
        yield from ("", plan.diff, "")
    if not plan.live:
        yield "no open conversations"
        return
    yield f"open conversations: {plan.conversations}"
    for row in plan.live:
        version = row.content_hash[:SHORT] if row.content_hash else "no version"
        current = "(current)" if row.content_hash == plan.current and plan.current else ""
        yield f"  {version:{SHORT}} {current:9}  {row.status:7}  {row.agent or '-':20}  {row.conversations}"
    yield from (f"  {_lost(lost)}" for lost in plan.lost)
    yield from _who(plan)


def plan_summary(plan: PublishPlan) -> Iterator[str]:
    """Return a short plan for a publication. Empty when nothing changes for open conversations."""
    if plan.current and plan.current != plan.new:
        places = list(dict.fromkeys(change.where.partition(".")[0].partition("/")[0] for change in plan.changes))
        yield f"  {count(len(plan.changes), 'change')}{': ' if places else ''}{', '.join(places)}"
    yield from (f"  {_lost(lost)}" for lost in plan.lost)
    if plan.live:
        yield from (f"  {line}" for line in _who(plan))


def _who(plan: PublishPlan) -> Iterator[str]:
    if plan.staying:
        they, close = ("it", "it closes") if plan.staying == 1 else ("they", "they close")
        staying = count(plan.staying, "open conversation")
        yield f"{staying} on the version {they} opened with, until {close}: nothing changes there"
    yield from (_moves(moving) for moving in plan.moving)
    yield "new conversations, also of the same contacts, begin with the new version"


def _moves(moving: Moving) -> str:
    number = count(moving.conversations, "open conversation")
    their = "its" if moving.conversations == 1 else "their"
    if moving.content_hash is None:
        return f"{number} without a version, opened before the first one: {their} next turn runs on the new version"
    return (
        f"{number} on version {moving.content_hash[:SHORT]}, which no longer loads with this Recado: "
        f"{their} next turn runs on the current version"
    )


def _lost(lost: Lost) -> str:
    where = f"{count(lost.conversations, 'open conversation')} on {lost.content_hash[:SHORT]}"
    what = f"{lost.kind} {lost.name}: gone from the new version, in use by {where}"
    return f"{what}; lost there, as that version no longer loads" if lost.moves else f"{what}, and kept there"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
