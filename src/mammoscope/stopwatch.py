"""Seconds spent in each part of a piece of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up wall time by name.

    Parameters
    ----------
    began
        Is given the name as each block begins.

    Attributes
    ----------
    seconds
        Name to seconds, in the order of first use, rounded to a tenth of a millisecond.
    """

    def __init__(self, began: Callable[[str], object] | None = None) -> None:
        self._began = began
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        if self._began is not None:
            self._began(name)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begin, 4)
