"""What can go wrong with another system, and how long to wait before the next try."""

from __future__ import annotations

import random

from mammoscope.errors import MammoscopeError

LONGEST_PAUSE = 900.0


class UnavailableError(MammoscopeError):
    """The other side cannot be reached or refuses access: no fault of an image, so it is retried without limit."""


class UncertainError(MammoscopeError):
    """The other side failed on one image or study, and may fail on every other as well: ``Breaker`` finds out."""


class FailedError(MammoscopeError):
    """A step failed for one image.

    Parameters
    ----------
    problem
        What went wrong, without a path of this machine or a value of the patient's.
    final
        Whether it would always fail: then it is not retried.
    """

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final


class NotYetError(MammoscopeError):
    """Nothing failed: an image waits for something.

    Parameters
    ----------
    why
        What it waits for.
    seconds
        Until it is worth asking again.
    """

    def __init__(self, why: str, seconds: float) -> None:
        super().__init__(why)
        self.seconds = seconds


def pause(failures: int, first: float, longest: float = LONGEST_PAUSE) -> float:
    """Seconds until the next try after so many failures, 1 or more: doubled each time, spread by half either way.

    The spread keeps images that failed together from coming back together.
    """
    growing = min(first * 2.0 ** min(failures - 1, 30), longest)
    return growing * random.uniform(0.5, 1.5)  # noqa: S311 (nothing secret)
