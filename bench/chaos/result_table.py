"""The result of a chaos run as text: what was done, what must be zero, and details of what is not zero."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.chaos import oracle
from bench.chaos.process_restarter import CLOCK_ERROR
from bench.chaos.run import IDLE_TIMEOUT, ChaosResult
from bench.chaos.simulator_faults import TWILIO_FAULTS
from bench.report import format_table

MAX_VIOLATIONS, MAX_ROWS_PER_CHECK = 30, 5


def format_result(result: ChaosResult) -> str:
    """Return two tables: what was done, and what must be zero."""
    done = [*_message_rows(result), *_fault_rows(result)]
    return (
        format_table(("what was done", "count"), done)
        + "\n\n"
        + format_table(("what must not happen", "allowed", "found"), _violation_rows(result))
    )


def _message_rows(result: ChaosResult) -> list[tuple[str, str]]:
    sent, findings = result.sent, result.findings
    idle_after = f"not within {IDLE_TIMEOUT:.0f} s" if result.idle_after is None else f"{result.idle_after:.1f} s"
    return [
        ("messages written", f"{sent.messages}"),
        ("messages acknowledged", f"{len(sent.acknowledged)}"),
        ("webhook requests", f"{sent.requests}, of these {sent.retries} retries and {sent.duplicates} duplicates"),
        ("turns", f"{findings.turns}"),
        ("turns started again", f"{findings.repeated_turns}, at most {findings.most_attempts} attempts"),
        ("bookings", f"{len(findings.appointments)}"),
        ("replies at Twilio", f"{len(result.delays)}"),
        ("  from commit to Twilio", _format_delays(result.delays)),
        ("no work left after the last fault", idle_after),
    ]


def _fault_rows(result: ChaosResult) -> list[tuple[str, str]]:
    faults, twilio = result.faults, result.simulator_faults["twilio"]
    return [
        ("kills", f"{faults.total_kills} in {result.fault_seconds:.0f} s"),
        *((f"  kill -9 of {name}", f"{count}") for name, count in sorted(faults.kills.items())),
        *((f"  at milestone: {name}", f"{count}") for name, count in faults.self_kills.most_common()),
        *((f"outage: {name}", f"{count}") for name, count in sorted(faults.outages.items())),
        ("answers of Postgres lost", f"{faults.lost_answers}"),
        ("clocks stepped", f"{faults.clock_steps}, of processes whose clocks are up to {CLOCK_ERROR:.0f} s apart"),
        ("processes whose logs failed", f"{faults.failing_logs}"),
        ("checkpoints broken", f"{faults.broken_checkpoints}"),
        ("Redis flushed", f"{faults.redis_flushes}"),
        *(
            (f"Postgres connections ended: {group}", f"{count}")
            for group, count in sorted(faults.terminated_connections.items())
        ),
        ("failed starts", _format_counts(faults.failed_starts) or "none"),
        ("faults of the simulated model", f"{result.simulator_faults['model']['injected']}"),
        *(
            (f"faults of the simulated Twilio: {name}", _format_counts(twilio[name]["applied"]))
            for name in TWILIO_FAULTS
        ),
    ]


def _violation_rows(result: ChaosResult) -> list[tuple[str, str, str]]:
    counts = Counter(violation.kind for violation in result.violations)
    found = {kind: counts[kind] for kind in oracle.KINDS}
    found |= {check: len(rows) for check, rows in result.findings.failed_checks.items()}
    found["webhooks refused with 4xx"] = len(result.sent.refused)
    return [(name, "0", f"{count}") for name, count in found.items()]


def format_details(result: ChaosResult) -> Iterator[str]:
    """Yield a line for each of the first violations."""
    for violation in result.violations[:MAX_VIOLATIONS]:
        yield f"{violation.kind}: {violation.contact}: {violation.detail}"
    for check, rows in result.findings.failed_checks.items():
        for row in rows[:MAX_ROWS_PER_CHECK]:
            yield f"{check}: {row}"
    for refused in result.sent.refused[:MAX_ROWS_PER_CHECK]:
        yield f"webhook refused: {refused}"
    if result.idle_after is None:
        yield f"turns or messages were still unfinished {IDLE_TIMEOUT:.0f} s after the last fault"


def _format_delays(delays: Sequence[float]) -> str:
    """Return percentiles of delays in ascending order."""
    if not delays:
        return "none"
    p50, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:.2f} s, p99 {p99:.1f} s, max {delays[-1]:.1f} s"


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
