"""CPU time and resident memory of processes, and the speed of this machine."""

import os
import time

import psutil

MEGABYTE = 1024 * 1024
ADDITIONS = 2_000_000


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and of all its children, in seconds.

    Children that have ended are included. Returns 0 when the process does not exist.
    """
    try:
        process = psutil.Process(pid)
        living = [process, *process.children(recursive=True)]
        own_times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    total = float(own_times.children_user + own_times.children_system)
    for member in living:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def cpu_seconds_of_this_process() -> float:
    """Return the user and system time of this process without its children, in seconds."""
    times = os.times()
    return times.user + times.system


def measure_additions_per_second() -> float:
    """Return how many million additions Python makes in a second at this moment.

    A shared machine is not always equally fast. The report shows this number beside the measured ones.
    """
    started, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return ADDITIONS / (time.perf_counter() - started) / 1e6


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process, in megabytes."""
    return float(psutil.Process(pid).memory_info().rss) / MEGABYTE
