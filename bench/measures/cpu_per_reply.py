"""CPU time per reply, split by process."""

RECADO_PROCESSES = ("api", "worker-1", "scheduler")
SHOWN_PROCESSES = ("api", "worker-1", "postgres", "valkey", "model", "bench")


def cpu_ms_per_reply(before: dict[str, float], after: dict[str, float], replies: int) -> dict[str, float]:
    """Return the milliseconds of CPU per reply that each process used between two readings of `cpu_seconds`."""
    return {name: (after[name] - before[name]) / replies * 1000 for name in before if name in after}


def recado_cpu_ms(cpu_ms: dict[str, float]) -> float:
    """Return the sum of Recado's own processes, in milliseconds."""
    return sum(cpu_ms.get(name, 0.0) for name in RECADO_PROCESSES)


def format_cpu_ms(cpu_ms: dict[str, float]) -> str:
    """Return the CPU per reply of each process, as text for the notes of a row."""
    return "CPU ms per reply: " + ", ".join(f"{name} {cpu_ms[name]:.2f}" for name in SHOWN_PROCESSES if name in cpu_ms)
