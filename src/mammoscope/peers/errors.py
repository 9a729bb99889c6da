"""What can go wrong with another system, and whose fault it is."""

from __future__ import annotations

from mammoscope.errors import MammoscopeError


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
