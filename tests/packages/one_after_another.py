"""A backend of another package: one item after the other, in this very thread, as a debugger likes it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from mammoscope.execution.backend import Crashed
from mammoscope.execution.job import Item, Job, Result


@dataclass(frozen=True)
class OneAfterAnother:
    """Opens the job once, whatever the number of workers."""

    workers: int

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        """See ``mammoscope.execution.backend.Backend``. What runs out of memory costs one item."""
        with job.open() as work:
            for item in items:
                try:
                    result = work(item)
                except MemoryError:
                    yield item, Crashed("ran out of memory")
                else:
                    yield item, result
