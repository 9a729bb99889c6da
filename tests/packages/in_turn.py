"""A backend of another package: one item after the other, in the thread of whoever asks, as a debugger wants it."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from mammoscope.execution.backend import Crashed
from mammoscope.execution.job import Item, Job, Result


class InTurn:
    """Opens the job once, whatever the number of workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        with job.open() as work:
            for item in items:
                yield item, work(item)
