"""What a lesion table states of BI-RADS category and shape, as one of given words."""

from __future__ import annotations

import pytest

from made_lesions import made_lesion
from mammoscope.datasets.attributes import known_word

BIRADS = ("2", "3", "4", "5", "6")
SHAPES = ("ROUND", "OVAL", "LOBULATED", "IRREGULAR")


@pytest.mark.parametrize(
    ("text", "place"),
    [("", None), ("0", None), ("1", None), ("2", 0), ("4", 2), ("4.0", 2), (" 6 ", 4), ("NA", None), ("4.5", None)],
)
def test_birads_0_and_1_are_not_among_the_words(text: str, place: int | None) -> None:
    assert known_word(made_lesion(assessment=text), "birads", BIRADS) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("N/A", None),
        ("OVAL", 1),
        ("oval", 1),
        ("LYMPH_NODE", None),
        ("IRREGULAR-ARCHITECTURAL_DISTORTION", 3),  # the other word is no shape
        ("OVAL-LYMPH_NODE", 1),
        ("ROUND-OVAL", None),  # neither is right alone
    ],
)
def test_a_shape_is_known_where_exactly_one_of_the_words_is_stated(text: str, place: int | None) -> None:
    assert known_word(made_lesion(mass_shape=text), "shape", SHAPES) == place
    assert known_word(made_lesion(mass_shape=text), "shape", tuple(word.lower() for word in SHAPES)) == place
