"""End a server process when the process that started it is gone, also after kill -9. Run as a script.

Arguments: the parent's pid, the number of the signal that asks the server to end, and the seconds until SIGKILL.
Standard input carries the server's pid, and stays open while the parent lives. PR_SET_PDEATHSIG is not used: it exists
on Linux only, depends on the thread that forked, and is lost when the server changes its user.
"""

import os
import select
import signal
import sys
import time

CHECK_SECONDS = 0.5
POLL_SECONDS = 0.02


def told_pid(parent: int) -> int | None:
    """Wait until the parent is gone; return the pid of the server, None if none was started."""
    told = b""
    while True:
        if select.select([0], [], [], CHECK_SECONDS)[0]:
            part = os.read(0, 64)
            told += part
            if not part:
                break
        elif os.getppid() != parent:  # a fork of the parent keeps the pipe open
            break
    return int(told) if told.strip().isdigit() else None


def end(pid: int, polite: int, grace: float) -> None:
    """Ask the server to end, then make it."""
    deadline = time.monotonic() + grace
    try:
        os.kill(pid, polite)
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def main() -> None:
    """Guard one server."""
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    pid = told_pid(int(sys.argv[1]))
    if pid is not None:
        end(pid, int(sys.argv[2]), float(sys.argv[3]))


if __name__ == "__main__":
    main()
