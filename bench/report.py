"""The table that a run prints, and the file that it leaves."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is no target; `values` are the bare numbers."""

    what: str
    target: str
    measured: str
    notes: str = ""
    met: bool | None = None
    values: dict[str, float] = field(default_factory=dict)


def at_least(what: str, target: float, value: float, unit: str, notes: str = "", **values: float) -> Row:
    """A measure that must not be below its target."""
    return _judged(what, "≥", target, value, unit, notes, value >= target, values)


def at_most(what: str, target: float, value: float, unit: str, notes: str = "", **values: float) -> Row:
    """A measure that must not be above its target."""
    return _judged(what, "≤", target, value, unit, notes, value <= target, values)


def _judged(
    what: str, sign: str, target: float, value: float, unit: str, notes: str, met: bool, values: dict[str, float]
) -> Row:
    ratio = f"{value / target:.2f}x" if target else ""
    verdict = "met" if met else "MISSED"
    return Row(
        what,
        f"{sign} {number(target)} {unit}".rstrip(),
        f"{number(value)} {unit}".rstrip(),
        ", ".join(part for part in (ratio, verdict, notes) if part),
        met,
        {"target": target, "value": round(value, 4), **{k: round(v, 4) for k, v in values.items()}},
    )


def number(value: float) -> str:
    """A number with three meaningful digits."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns side by side; the last one runs on."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings) - 1)]

    def laid_out(line: Sequence[str]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        return "  ".join([*cells, line[-1]]).rstrip()

    return "\n".join([laid_out(lines[0]), "  ".join("-" * w for w in [*widths, 5]), *map(laid_out, lines[1:])])


def show(rows: Sequence[Row]) -> str:
    """The table of a load run."""
    return table(
        ("what", "target", "measured", "ratio, notes"), [(r.what, r.target, r.measured, r.notes) for r in rows]
    )


def write(path: Path, rows: Sequence[Row], **facts: object) -> None:
    """The same as JSON, with facts about the run."""
    path.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=2, ensure_ascii=False) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
