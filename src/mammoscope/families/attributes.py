"""What radiologists noted of a lesion besides its pathology, as auxiliary targets of the classifier's branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.layout import Lesion

WORDED = ("mass_shape", "mass_margins")
# The highest grade of each; the lowest is 1. BI-RADS 0 asks for more images, it is not a grade of suspicion.
_GRADED = {"assessment": 5, "subtlety": 5, "breast_density": 4}
_LEAST_SHARE = 0.02
_NOT_STATED = ("", "NA", "N/A", "NAN")


@dataclass(frozen=True)
class Attributes:
    """The targets of a training.

    Attributes
    ----------
    words
        Columns of the lesion table and words in them: ``("mass_margins", "SPICULATED")``. A lesion may have several
        words of a column, joined by hyphens in the table.
    """

    words: tuple[tuple[str, str], ...]

    @classmethod
    def fit(cls, lesions: Sequence[Lesion]) -> Self:
        """The words that apply to at least 2 % of the training lesions."""
        counts = Counter((column, word) for lesion in lesions for column in WORDED for word in words_of(lesion, column))
        return cls(tuple(sorted(word for word, count in counts.items() if count >= _LEAST_SHARE * len(lesions))))

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """The targets with these ``names``."""
        words = (name.partition(" ") for name in names)
        return cls(tuple((column, word) for column, _, word in words if column in WORDED))

    @property
    def names(self) -> list[str]:
        """The names of the targets, in their order."""
        return self.spoken + list(_GRADED)

    @property
    def spoken(self) -> list[str]:
        """The names of the words alone, in their order."""
        return [" ".join(word) for word in self.words]

    def stated(self, said: Mapping[str, Collection[str]]) -> NDArray[np.float32]:
        """``(W,) float32`` for the words alone: 1 where ``said`` holds the word under its column, else 0."""
        return np.array([word in said.get(column, ()) for column, word in self.words], np.float32)

    def targets(self, lesion: Lesion) -> NDArray[np.float32]:
        """``(K,) float32`` from 0 to 1, NaN if the table states nothing: whether each word applies, scaled grades."""
        said = {column: words_of(lesion, column) for column in WORDED}
        words = [float(word in said[column]) if said[column] else np.nan for column, word in self.words]
        return np.array(words + [_grade(getattr(lesion, column), top) for column, top in _GRADED.items()], np.float32)


def words_of(lesion: Lesion, column: str) -> set[str]:
    """The words of a column; none where it is not stated."""
    return {word.strip() for word in getattr(lesion, column).upper().split("-")}.difference(_NOT_STATED)


def _grade(text: str, top: int) -> float:
    """A grade from 1 to ``top``, scaled to 0 to 1; NaN for any other text."""
    try:
        grade = float(text)
    except ValueError:
        return np.nan
    return (grade - 1) / (top - 1) if 1 <= grade <= top else np.nan
