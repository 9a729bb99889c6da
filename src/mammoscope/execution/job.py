"""What is done to many items: a job says how a worker gets ready, and what it does to each item."""

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

    A job holds paths and settings, so that it can be pickled and sent to where the work is done; items and results must
    be picklable too. What costs time or memory to make ready (models, a decoder process) is made in ``open``.
    """

    def open(self) -> AbstractContextManager[Callable[[Item_contra], Result_co]]:
        """Make one worker ready; called once a worker, in the thread or process that then works.

        Returns
        -------
        context manager of a function
            The function does one item. What an item may fail of belongs into its result: an exception ends the run and
            reaches who called it.
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
