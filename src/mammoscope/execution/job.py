"""The protocol of a job: how a worker gets ready, and what it does to each item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Job(Protocol[Item_contra, Result_co]):
    """Something to do to many items.

    A job holds paths and settings, so that it can be pickled and sent to the workers; items and results must be
    picklable too. What takes time or memory to prepare (models, a decoder process) is prepared in ``open``.
    """

    def open(self) -> AbstractContextManager[Callable[[Item_contra], Result_co]]:
        """Make one worker ready; called once for each worker, in its thread or process.

        Returns
        -------
        context manager of a function
            The function works on one item. Expected failures of an item belong in its result: an exception ends the run
            and is raised to the caller.
        """
        ...


@dataclass(frozen=True)
class Apply(Generic[Item, Result]):
    """The job that opens nothing: a function of an item. It is as picklable as the function."""

    function: Callable[[Item], Result]

    @contextmanager
    def open(self) -> Iterator[Callable[[Item], Result]]:
        """See ``Job``."""
        yield self.function
