"""Threads of this process: they share what is loaded, and a crash of one ends all."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from mammoscope.execution.backend import Crashed
from mammoscope.execution.job import Item, Job, Result

_TAKEN_PER_WORKER = 2


class _End:
    """In place of an item: there are no more."""


@dataclass(frozen=True)
class _Failed:
    """Instead of a result: opening the job, or the job, raised this."""

    error: BaseException


@dataclass(frozen=True)
class Threads:
    """A backend of threads; see ``Backend``. They are faster if work is done outside Python's lock, as by OpenCV."""

    workers: int

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        """See ``Backend``. Closing the generator waits for the items that are under way."""
        inbox: SimpleQueue[Any] = SimpleQueue()
        outbox: SimpleQueue[Any] = SimpleQueue()
        crew: list[Thread] = []
        waiting, taken = iter(items), 0
        try:
            while True:
                while taken < _TAKEN_PER_WORKER * self.workers and (item := next(waiting, _End)) is not _End:
                    if len(crew) < self.workers:
                        crew.append(Thread(target=_work, args=(job, inbox, outbox), daemon=True))
                        crew[-1].start()
                    inbox.put(item)
                    taken += 1
                if not taken:
                    return
                answer = outbox.get()
                if isinstance(answer, _Failed):
                    raise answer.error
                taken -= 1
                yield answer
                del answer  # it may be large, and the next may take long
        finally:
            _empty(inbox)
            for _ in crew:
                inbox.put(_End)
            for thread in crew:
                thread.join()


def _work(job: Job[Item, Result], inbox: SimpleQueue[Any], outbox: SimpleQueue[Any]) -> None:
    try:
        with job.open() as work:
            while (item := inbox.get()) is not _End:
                outbox.put((item, work(item)))
    except BaseException as error:  # raised again in the thread that waits for results
        outbox.put(_Failed(error))


def _empty(queue: SimpleQueue[Any]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
