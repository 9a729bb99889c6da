"""How a job is run: by threads or processes of this machine, by Ray on many, or by a backend of another package.

A backend of another package is a class that meets ``Backend`` and takes the number of workers, registered as an entry
point of the group ``mammoscope.backends``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, cast

from mammoscope.errors import MammoscopeError
from mammoscope.execution.job import Item, Job, Result
from mammoscope.extensions import Extensions

GROUP = "mammoscope.backends"
BUILT_IN = {
    "threads": "mammoscope.execution.threads:Threads",
    "processes": "mammoscope.execution.processes:Processes",
    "ray": "mammoscope.execution.ray:Ray",
}


@dataclass(frozen=True)
class Crashed:
    """In place of a result: the item crashed its worker. ``reason`` says how, such as ``"killed by SIGSEGV"``."""

    reason: str

    @property
    def problem(self) -> str:
        """As it is said of a file."""
        return f"the process that analysed it ended ({self.reason})"


class Backend(Protocol):
    """Runs a job over a stream of items."""

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        """Do a job to every item.

        The stream is lazy and bounded: an item is taken when a worker will soon be free for it, and no result is kept
        once it is yielded, so many items take no more memory than few. Closing the generator ends the workers.

        Yields
        ------
        tuple
            An item and its result, in the order in which they are finished; ``Crashed`` if the item crashed its worker,
            which affects no other item.

        Raises
        ------
        Exception
            What the job or the items raised, unchanged.
        MammoscopeError
            No worker can be started.
        """
        ...


def backend_named(name: str, workers: int) -> Backend:
    """The backend of a name, with this many workers.

    Parameters
    ----------
    name
        ``"threads"``, ``"processes"``, ``"ray"``, or the name of an entry point of the group ``mammoscope.backends``.
    workers
        Items under way at a time, 1 or more.

    Raises
    ------
    MammoscopeError
        No backend has this name (lists the known names), or that of another package cannot be used.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, it must be 1 or more")
    backends = Extensions(GROUP, BUILT_IN)
    try:
        backend = backends.load(name, MammoscopeError)
    except MammoscopeError as error:
        raise MammoscopeError(f"backend {name!r}: {error}") from error
    if backend is None:
        raise MammoscopeError(f"backend {name!r} is not known; known are: {', '.join(backends.names)}")
    try:
        made = backend(workers)
    except MammoscopeError as error:
        raise MammoscopeError(f"backend {name!r}: {error}") from error
    except Exception as error:
        raise MammoscopeError(f"backend {name!r}: cannot be made ({type(error).__name__}: {error})") from error
    return cast(Backend, made)


def in_order(
    backend: Backend,
    job: Job[Item, Result],
    items: Sequence[Item],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """All results, in the order of the items: for results that fit in memory together.

    Parameters
    ----------
    backend, job, items
        The backend runs the job over the items.
    progress
        Called with the items done and all items.

    Raises
    ------
    MammoscopeError
        An item crashed its worker; names it.
    """
    results: dict[int, Result] = {}
    for (number, item), result in backend.run(_Numbered(job), enumerate(items)):
        if isinstance(result, Crashed):
            raise MammoscopeError(f"{item}: the process that worked on it ended ({result.reason})")
        results[number] = result
        if progress is not None:
            progress(len(results), len(items))
    return [results[number] for number in range(len(items))]


@dataclass(frozen=True)
class _Numbered(Generic[Item, Result]):
    """A job whose items carry their number."""

    job: Job[Item, Result]

    @contextmanager
    def open(self) -> Iterator[Callable[[tuple[int, Item]], Result]]:
        opened: AbstractContextManager[Callable[[Item], Result]] = self.job.open()
        with opened as work:
            yield lambda numbered: work(numbered[1])
