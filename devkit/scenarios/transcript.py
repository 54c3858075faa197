"""What happened in a scenario, in order, with virtual times."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """`at`: virtual seconds since the beginning."""

    at: float
    who: str
    what: str


@dataclass
class Transcript:
    """Grows while a scenario runs. `now`: the loop's time, of which `begins` is the scenario's beginning."""

    now: Callable[[], float]
    begins: float = 0.0
    lines: list[Line] = field(default_factory=list)

    def add(self, who: str, what: str) -> None:
        """Notes what has just happened."""
        self.lines.append(Line(self.elapsed, who, what))

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now() - self.begins

    def said(self, who: str) -> list[Line]:
        """The lines of one side."""
        return [line for line in self.lines if line.who == who]

    def __str__(self) -> str:
        width = max((len(line.who) for line in self.lines), default=0)
        return "\n".join(
            f"  {elapsed(line.at):>10}  {line.who:<{width}}  " + line.what.replace("\n", "\n" + " " * (width + 16))
            for line in self.lines
        )


def elapsed(seconds: float) -> str:
    """Virtual time as people read it: 1.250s, 3m05.000s, 2h00m05.000s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:06.3f}s"
    return f"{minutes}m{rest:06.3f}s" if minutes else f"{rest:.3f}s"
