"""How well BI-RADS category and shape are told, by the lesions whose word the dataset states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.attributes import ATTRIBUTES, known_word
from mammoscope.datasets.layout import Lesion
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, ratio
from mammoscope.geometry import FloatArray

DEFINITIONS = {
    "attributes": "What the classifier says of a lesion besides its malignancy: the likeliest of its words, measured "
    "on the lesions for which the dataset states exactly one of them.",
    "birads": "The BI-RADS category; kappa has quadratic weights, as the categories have an order.",
    "shape": "The shape; kappa has no weights.",
    "accuracy": "Share of lesions whose class at the threshold is right; of an attribute, whose word is right.",
    "kappa": "Cohen's kappa: agreement beyond chance, 1 for all right, 0 for as right as by chance.",
}
_NOT_KNOWN = -1
_NO_LESION = "there is no lesion of which the word is known"


@dataclass(frozen=True, eq=False)
class ToldWords:
    """What is said of N lesions and what is true.

    Attributes
    ----------
    words
        The K words, in their order if they have one.
    told, true
        ``(N,) int64``: places of words; -1 where none is said, or known.
    ordered
        Whether the words have an order.
    """

    words: tuple[str, ...]
    told: NDArray[np.int64]
    true: NDArray[np.int64]
    ordered: bool

    def word(self, place: int) -> str:
        """The word at a place; empty for -1."""
        return "" if place == _NOT_KNOWN else self.words[place]


def told_words(
    probabilities: Mapping[str, FloatArray], words: Mapping[str, tuple[str, ...]], lesions: Sequence[Lesion]
) -> dict[str, ToldWords]:
    """The words of the attributes that a dataset can state.

    Parameters
    ----------
    probabilities
        ``(N, K)`` of each attribute; a row of NaN says nothing.
    words
        The K words of each.
    lesions
        N rows of the dataset.
    """
    return {
        name: ToldWords(words[name], _likeliest(said), _known(lesions, name, words[name]), ATTRIBUTES[name].ordered)
        for name, said in probabilities.items()
        if name in ATTRIBUTES and name in words
    }


def cohen_kappa(
    told: NDArray[np.int64], true: NDArray[np.int64], words: int, weights: FloatArray, *, ordered: bool
) -> FloatArray:
    """Cohen's kappa ``(D,)`` for case weights ``(D, N)`` (Cohen 1960).

    Parameters
    ----------
    told, true
        ``(N,)`` places from 0 to ``words`` - 1.
    ordered
        With quadratic weights: an error counts by the square of its distance (Cohen 1968).

    Returns
    -------
    FloatArray
        NaN where a draw holds one word only, said and true alike.
    """
    places = np.arange(words)
    cost = np.subtract.outer(places, places) ** 2 if ordered else 1 - np.eye(words)
    observed = weights @ cost[told, true]
    of_told, of_true = weights @ (told[:, None] == places), weights @ (true[:, None] == places)
    by_chance = ((of_told @ cost) * of_true).sum(axis=1)
    return 1 - ratio(observed * weights.sum(axis=1), by_chance)


def attribute_figures(told: ToldWords, patients: Sequence[str], bootstrap: Bootstrap) -> Json:
    """Lesions, accuracy and kappa, by the keys of ``report.json``; ``patients`` are those of the N lesions."""
    both = (told.told != _NOT_KNOWN) & (told.true != _NOT_KNOWN)
    said, true = told.told[both], told.true[both]

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "accuracy": ratio(weights @ (said == true), weights.sum(axis=1)),
            "kappa": cohen_kappa(said, true, len(told.words), weights, ordered=told.ordered),
        }

    reasons = {"accuracy": _NO_LESION, "kappa": "one word is said and true of all lesions"}
    if not len(true):
        reasons["kappa"] = _NO_LESION
    of_known = [patient for patient, known in zip(patients, both, strict=True) if known]
    figures = bootstrap.estimates(statistic, of_known, reasons)
    return {"lesions": len(true), **{name: figure.as_json() for name, figure in figures.items()}}


def attribute_columns(told: Mapping[str, ToldWords], row: int) -> Json:
    """What is said and true of one lesion, for ``cases.csv``; empty where it is not known."""
    columns: Json = {}
    for name, words in told.items():
        columns |= {name: words.word(words.told[row]), f"{name}_true": words.word(words.true[row])}
    return columns


def _likeliest(probabilities: FloatArray) -> NDArray[np.int64]:
    said = ~np.isnan(probabilities).any(axis=1)
    return np.where(said, np.nan_to_num(probabilities).argmax(axis=1), _NOT_KNOWN)


def _known(lesions: Sequence[Lesion], name: str, words: Sequence[str]) -> NDArray[np.int64]:
    places = [known_word(lesion, name, words) for lesion in lesions]
    return np.array([_NOT_KNOWN if place is None else place for place in places], dtype=np.int64)
