"""What radiologists noted of a lesion besides its pathology, as one word of several: BI-RADS category, and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mammoscope.datasets.rows import Lesion


@dataclass(frozen=True)
class Attribute:
    """Something of which a lesion has one word.

    Attributes
    ----------
    column
        Of the lesion table, where it stands.
    ordered
        Whether its words have an order, so that a neighbour of the right word is less wrong than others.
    """

    column: str
    ordered: bool


ATTRIBUTES = {"birads": Attribute("assessment", ordered=True), "shape": Attribute("mass_shape", ordered=False)}


def known_word(lesion: Lesion, name: str, words: Sequence[str]) -> int | None:
    """The place among ``words`` of what the table states of a lesion.

    Parameters
    ----------
    name
        Of one of ``ATTRIBUTES``.
    words
        A lesion may have several words in the table, joined by hyphens.

    Returns
    -------
    int or None
        None: the table states none of them, or more than one (``ROUND-OVAL``), so that neither is the right one.
    """
    stated = {_plain(word) for word in getattr(lesion, ATTRIBUTES[name].column).upper().split("-")}
    places = [place for place, word in enumerate(words) if word.upper() in stated]
    return places[0] if len(places) == 1 else None


def _plain(word: str) -> str:
    """A word without blanks, a grade without decimals."""
    return word.strip().removesuffix(".0")
