"""What processes use: CPU time and resident memory."""

import os
import signal
import time

import psutil

from app.supervisor import Child

MEGABYTE = 1024 * 1024
ADDITIONS = 2_000_000


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its children, those that have ended included."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        ended = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    total = float(ended.children_user + ended.children_system)
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def cpu_of_this_process() -> float:
    """User and system time of the driver, without its children."""
    times = os.times()
    return times.user + times.system


def machine_speed() -> float:
    """Million additions that Python makes in a second just now: what the other numbers must be read against."""
    began, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return ADDITIONS / (time.perf_counter() - began) / 1e6


def resident_mb(pid: int) -> float:
    """Resident memory of one process, in megabytes."""
    return float(psutil.Process(pid).memory_info().rss) / MEGABYTE


def terminate(child: Child) -> None:
    """Asks a process to end, and does not wait for it."""
    child.send(signal.SIGTERM)
