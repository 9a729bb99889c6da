"""Apply a function to many files, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.progress import Progress

from mammoscope.execution.backend import in_order
from mammoscope.execution.job import Apply, Item, Result
from mammoscope.execution.threads import Threads
from mammoscope.processes.cores import usable_cores


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
    """Results in the order of the items. OpenCV releases the interpreter's lock, so threads share the cores."""
    with Progress() as bar:
        task = bar.add_task(label, total=len(items))
        return in_order(
            Threads(usable_cores()),
            Apply(function),
            items,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
