"""The number of usable cores."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may use; ``OMP_NUM_THREADS`` limits them, as it does elsewhere."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(granted, int(wanted))) if wanted.isdigit() else granted
