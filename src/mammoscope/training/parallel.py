"""Map a function over many files with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.progress import track

from mammoscope.processes.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
    """Results in the order of the items. OpenCV releases the interpreter's lock, so threads share the cores."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        return list(track(threads.map(function, items), description=label, total=len(items)))
