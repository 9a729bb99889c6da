"""A malignancy score as a reader is told it: a percentage, and its side of the operating point in words.

A class and a score side by side, ``benign 0.46``, were read as 46% benign.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

NOT_GRADED = "not graded"
_MOST_DIGITS = 12
_ENDS = {"0%": "<1%", "100%": ">99%"}


def malignancy_words(score: float | None, operating_point: float) -> str:
    """``"malignancy 46%"``, with as many digits as tell it from the operating point; or ``"malignancy not graded"``."""
    return f"malignancy {malignancy_percent(score, operating_point)}"


def malignancy_percent(score: float | None, operating_point: float) -> str:
    """``"46%"``, with as many digits as tell it from the operating point; ``"not graded"`` where there is no score.

    A probability that was fitted to some hundred lesions is never certain: ``"<1%"`` and ``">99%"`` are the ends.
    """
    if score is None:
        return NOT_GRADED
    text = _percent(score, _digits(score, operating_point))
    return _ENDS.get(text, text)


def operating_point_words(score: float | None, operating_point: float, naming: str = "the operating point of ") -> str:
    """``"above the operating point of 40%"``, ``"below ..."``, or ``"at ..."``, which counts as malignant, too.

    Empty where there is no score.

    Parameters
    ----------
    score, operating_point
        From 0 to 1.
    naming
        What stands between the side and the percentage.
    """
    if score is None:
        return ""
    side = "at" if score == operating_point else "above" if score > operating_point else "below"
    return f"{side} {naming}{operating_point_percent(operating_point, [score])}"


def operating_point_percent(operating_point: float, scores: Iterable[float | None] = ()) -> str:
    """``"40%"``, with as many digits as tell it from each of the scores, which are shown likewise."""
    return _percent(
        operating_point, max((_digits(score, operating_point) for score in scores if score is not None), default=0)
    )


def _digits(score: float, operating_point: float) -> int:
    """Digits after the point of a percentage that tell both apart: 0.418 and 0.423 are 42%."""
    if score == operating_point:
        return 0
    told_apart = (
        digits for digits in range(_MOST_DIGITS) if _percent(score, digits) != _percent(operating_point, digits)
    )
    return next(told_apart, _MOST_DIGITS)


def _percent(share: float, digits: int) -> str:
    return f"{Decimal(100 * share).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)}%"
