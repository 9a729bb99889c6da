"""What an answer of another system may cost, and what is said of one that costs more."""

from __future__ import annotations

from dataclasses import dataclass


class AnswerError(Exception):
    """An answer that was not taken: too large, too slow, cut off, or from elsewhere; says what, for a message."""


@dataclass(frozen=True)
class Bounds:
    """What an answer may cost.

    Attributes
    ----------
    size
        Bytes of its body, decompressed.
    seconds
        From the first byte that is sent to the last that is received.
    """

    size: int
    seconds: float
