"""Record what happened in a scenario, in order, with virtual times."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One event. `at` is in virtual seconds since the beginning of the scenario."""

    at: float
    who: str
    what: str


@dataclass
class Transcript:
    """The events of a running scenario.

    `now` returns the loop's time in virtual seconds. `begins` is the loop's time at the beginning of the scenario.
    """

    now: Callable[[], float]
    begins: float = 0.0
    lines: list[Line] = field(default_factory=list)

    def add(self, who: str, what: str) -> None:
        """Add an event at the present time."""
        self.lines.append(Line(self.elapsed, who, what))

    @property
    def elapsed(self) -> float:
        """The virtual seconds since the beginning."""
        return self.now() - self.begins

    def said(self, who: str) -> list[Line]:
        """Return the lines of one party, such as `contact` or `assistant`."""
        return [line for line in self.lines if line.who == who]

    def __str__(self) -> str:
        width = max((len(line.who) for line in self.lines), default=0)
        return "\n".join(
            f"  {elapsed(line.at):>10}  {line.who:<{width}}  " + line.what.replace("\n", "\n" + " " * (width + 16))
            for line in self.lines
        )


def elapsed(seconds: float) -> str:
    """Return a duration as text, such as 1.250s, 3m05.000s or 2h00m05.000s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:06.3f}s"
    return f"{minutes}m{rest:06.3f}s" if minutes else f"{rest:.3f}s"
