"""How long to wait before the next try, and what only waits."""

from __future__ import annotations

import random

from mammoscope.errors import MammoscopeError

LONGEST_PAUSE = 900.0


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
