"""What a reader is told of a malignancy score."""

from __future__ import annotations

import pytest

from mammoscope.writers.malignancy import malignancy_words, operating_point_percent, operating_point_words


@pytest.mark.parametrize(
    ("score", "operating_point", "words"),
    [
        (0.46, 0.4, "malignancy 46%, above the operating point of 40%"),
        (0.0, 0.4, "malignancy <1%, below the operating point of 40%"),
        (1.0, 0.4, "malignancy >99%, above the operating point of 40%"),
        (0.996, 0.4, "malignancy >99%, above the operating point of 40%"),
        (0.4, 0.4, "malignancy 40%, at the operating point of 40%"),
        (0.125, 0.4, "malignancy 13%, below the operating point of 40%"),
        (0.418, 0.423, "malignancy 41.8%, below the operating point of 42.3%"),
        (0.424, 0.423, "malignancy 42.4%, above the operating point of 42.3%"),
        (0.39999999, 0.4, "malignancy 39.999999%, below the operating point of 40.000000%"),
    ],
)
def test_the_side_is_said_and_no_rounding_hides_it(score: float, operating_point: float, words: str) -> None:
    assert f"{malignancy_words(score, operating_point)}, {operating_point_words(score, operating_point)}" == words


def test_the_operating_point_of_several_findings_has_the_digits_of_the_nearest() -> None:
    assert operating_point_percent(0.423) == "42%"
    assert operating_point_percent(0.423, [0.9, 0.418, 0.1]) == "42.3%"


def test_what_no_model_grades_has_no_percentage_and_no_side() -> None:
    assert malignancy_words(None, 0.4) == "malignancy not graded"
    assert operating_point_words(None, 0.4) == ""
    assert operating_point_percent(0.4, [None, 0.9]) == "40%"
