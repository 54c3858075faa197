"""The table that a command prints, and the JSON report that `bench.load` writes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ReportRow:
    """One row of the load report.

    `met` is None for a measure without a target. `values` has the unformatted numbers, for the JSON report.
    """

    name: str
    target: str
    measured: str
    notes: str = ""
    met: bool | None = None
    values: dict[str, float] = field(default_factory=dict)


def at_least(name: str, target: float, value: float, unit: str, notes: str = "", **values: float) -> ReportRow:
    """Return the row of a measure that must not be below its target."""
    return _row_with_target(name, "≥", target, value, unit, notes, value >= target, values)


def at_most(name: str, target: float, value: float, unit: str, notes: str = "", **values: float) -> ReportRow:
    """Return the row of a measure that must not be above its target."""
    return _row_with_target(name, "≤", target, value, unit, notes, value <= target, values)


def _row_with_target(
    name: str, sign: str, target: float, value: float, unit: str, notes: str, met: bool, values: dict[str, float]
) -> ReportRow:
    ratio = f"{value / target:.2f} x target" if target else ""
    return ReportRow(
        name,
        f"{sign} {format_number(target)} {unit}".rstrip(),
        f"{format_number(value)} {unit}".rstrip(),
        ", ".join(part for part in (met_or_missed(met), ratio, notes) if part),
        met,
        {"target": target, "value": round(value, 4), **{key: round(number, 4) for key, number in values.items()}},
    )


def met_or_missed(met: bool) -> str:
    """Return the word for whether a target was met."""
    return "met" if met else "MISSED"


def format_number(value: float) -> str:
    """Return a number as text, rounded to about three significant digits."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def format_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as text in aligned columns. The last column is not padded, so it may be long."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings) - 1)]

    def aligned(line: Sequence[str]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        return "  ".join([*cells, line[-1]]).rstrip()

    return "\n".join([aligned(lines[0]), "  ".join("-" * w for w in [*widths, 5]), *map(aligned, lines[1:])])


def format_report(rows: Sequence[ReportRow]) -> str:
    """Return the load report as a table."""
    return format_table(
        ("measure", "target", "measured", "result and notes"),
        [(row.name, row.target, row.measured, row.notes) for row in rows],
    )


def write_report(path: Path, rows: Sequence[ReportRow], **facts: object) -> None:
    """Write the load report as JSON, with facts about the machine and the run."""
    path.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=2, ensure_ascii=False) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of the values. `share` is from 0 to 1: 0.5 is the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
