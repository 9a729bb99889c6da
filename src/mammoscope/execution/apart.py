"""Items that are worked on together, and apart where together they end their worker: only the one at fault fails."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing

from mammoscope.execution.backend import Backend, Crashed
from mammoscope.execution.job import Item, Job, Result


def run_apart(
    backend: Backend, job: Job[Item, Result], items: Iterable[Item], parts: Callable[[Item], Sequence[Item]]
) -> Generator[tuple[Item, Result | Crashed]]:
    """As ``Backend.run``, but an item that crashed its worker is replaced by its parts, once all others are done.

    Parameters
    ----------
    backend, job, items
        The backend runs the job over the items.
    parts
        What an item is made of; one that cannot be divided is its own only part.
    """
    while True:
        apart: list[Item] = []
        with closing(backend.run(job, items)) as answers:
            for item, answer in answers:
                divided = parts(item) if isinstance(answer, Crashed) else ()
                if len(divided) > 1:
                    apart += divided
                else:
                    yield item, answer
        if not apart:
            return
        items = iter(apart)
