"""What a process of its own costs while it gets one hostile answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def assert_cheap(name: str, program: str, peer: str, call: str, within: float) -> None:
    """Run a program that says "ready", is told to go and says what came of it: at most 400 MB above its idle memory.

    Parameters
    ----------
    name
        For what is printed.
    program, peer, call
        Python code, and the two arguments that it gets.
    within
        Seconds after which it is killed.
    """
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", program, peer, call],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        idle, most, begun = _resident(process.pid), 0.0, time.monotonic()
        process.stdin.write("go\n")
        process.stdin.flush()
        while process.poll() is None and time.monotonic() < begun + within:
            most = max(most, _resident(process.pid))
            time.sleep(0.01)
        seconds = time.monotonic() - begun
        process.kill()
        said = process.stdout.read().strip()
    sys.stdout.write(f"\n{name}: {max(0, most - idle):.0f} MB above the idle {idle:.0f} MB, {seconds:.1f} s: {said}\n")
    assert said and most - idle < 400


def _resident(process: int) -> float:
    """Its RSS in MB; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0
