"""Images, breasts and patients as cases, ROC figures of a score, and the weighted AFROC."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.evaluation.metrics.afroc import (
    UNMARKED,
    MarkedImages,
    afroc_area,
    afroc_figures,
    even_shares,
    marked_images,
    wafroc_curve,
)
from mammoscope.evaluation.metrics.detection import DetectedImage, rank
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.metrics.levels import Level, ScoredImage, level_figures, units_of
from mammoscope.evaluation.metrics.roc import partial_auc, roc_points, sensitivity_at_specificity

ONE = np.ones((1, 8))
IMAGES = [
    ScoredImage("P1", "LEFT", True, 0.3),
    ScoredImage("P1", "LEFT", False, 0.6),
    ScoredImage("P1", "RIGHT", False, 0.7),
    ScoredImage("P2", "LEFT", False, 0.2),
    ScoredImage("P2", "", None, 0.4),
    ScoredImage("P3", "RIGHT", False, 0.1),
]


@pytest.mark.parametrize(
    ("level", "positive", "scores", "left_out"),
    [
        ("image", [1, 0, 0, 0, 0], [0.3, 0.6, 0.7, 0.2, 0.1], 1),
        ("breast", [1, 0, 0, 0], [0.6, 0.7, 0.2, 0.1], 1),
        ("patient", [1, 0], [0.7, 0.1], 1),  # an image of P2 is not known
    ],
)
def test_a_case_is_positive_with_any_image_and_has_its_highest_score(
    level: Level, positive: list[int], scores: list[float], left_out: int
) -> None:
    units = units_of(IMAGES, level)
    assert (units.positive.tolist(), units.scores.tolist(), units.left_out) == (positive, scores, left_out)


def test_levels_without_both_classes_say_why() -> None:
    figures = level_figures([ScoredImage("P1", "", True, 0.5)], Bootstrap(10))["levels"]
    assert figures["image"]["auc"] == {"value": None, "ci95": None, "reason": "all cases are positive"}
    assert figures["breast"]["auc"]["reason"] == "there is no case whose truth is known"
    assert level_figures([], Bootstrap(10))["levels"]["patient"]["units"] == 0


def test_partial_area_and_sensitivity_by_hand() -> None:
    # Highest first: + - + + - - - - - - - -: one false positive of nine is 1/9, above 0.1.
    scores = np.arange(12, 0, -1) / 12
    positive = np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=bool)
    weights = np.ones((1, 12))
    assert sensitivity_at_specificity(scores, positive, weights).tolist() == pytest.approx([1 / 3])
    assert sensitivity_at_specificity(scores, positive, weights, 8 / 9).tolist() == [1.0]
    # The curve rests at 1/3 until 1/9: an area of 1/30 of at most 0.1, chance 0.005.
    expected = 0.5 * (1 + (0.1 / 3 - 0.005) / (0.1 - 0.005))
    assert partial_auc(scores, positive, weights).tolist() == pytest.approx([expected])


def test_roc_figures_agree_with_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(0)
    scores, truth = np.round(rng.uniform(0, 1, 90), 1), rng.integers(0, 2, 90).astype(bool)
    weights = rng.integers(0, 4, (6, 90)).astype(np.float64)
    expected = [roc_auc_score(truth, scores, sample_weight=row, max_fpr=0.1) for row in weights]
    assert partial_auc(scores, truth, weights).tolist() == pytest.approx(expected)
    for row, found in zip(weights, sensitivity_at_specificity(scores, truth, weights, 0.7), strict=True):
        false, true, _ = roc_curve(truth, scores, sample_weight=row)
        assert found == pytest.approx(true[false <= 0.3].max())
    assert np.isnan(partial_auc(scores, np.ones(90, dtype=bool), weights)).all()
    assert roc_points(scores, truth, weights)[1][:, -1].tolist() == pytest.approx([1] * 6)


# Chakraborty, the RJafroc book, "Meanings of FROC figures of merit": four images without a lesion, of which one has no
# mark, and four with. The text compares every lesion with every false positive; ranks stand for the ratings.
NORMALS = [UNMARKED, 0.1, 0.3, 0.4]
LESIONS = [0.6, 0.2, 0.5, UNMARKED, 0.8, 0.7]
PUBLISHED = MarkedImages(
    tuple("abcdefgh"), np.array([*NORMALS, *[UNMARKED] * 4]), np.array(LESIONS), np.array([4, 5, 6, 6, 7, 7])
)


def test_areas_are_those_of_the_published_worked_example() -> None:
    assert afroc_area(PUBLISHED, ONE).tolist() == pytest.approx([18.5 / 24])  # 0.7708
    shares = np.array([1, 1, 0.1, 0.9, 0.9, 0.1])
    assert afroc_area(PUBLISHED, ONE, shares=shares).tolist() == pytest.approx([0.678125])


def test_even_weights_are_those_of_a_second_published_example() -> None:
    # foms.wAfroc of Chakraborty's Python port: 0.6583.
    lesions = np.array([0.2, 0.5, 0.3, 2, 3, 1, 4, 1])
    of = MarkedImages(
        tuple("abcdefghi"), np.array([0.1, 0.4, 3, 0.4, *[UNMARKED] * 5]), lesions, np.array([4, 5, 5, 6, 6, 6, 7, 8])
    )
    assert afroc_area(of, np.ones((1, 9)), shares=even_shares(of)).tolist() == pytest.approx([0.6583333333])


def test_the_curve_holds_the_area_with_its_straight_end() -> None:
    false, found = (np.append(values, 1.0) for values in wafroc_curve(PUBLISHED))
    expected = afroc_area(PUBLISHED, ONE, shares=even_shares(PUBLISHED))[0]
    assert np.trapezoid(found, false) == pytest.approx(expected)
    assert (false[-2], found[-2]) == (0.75, 0.875)


def test_false_positives_on_ill_images_count_in_afroc1_only() -> None:
    false = PUBLISHED.false.copy()
    false[4:] = 0.9
    worse = MarkedImages(PUBLISHED.patients, false, PUBLISHED.lesions, PUBLISHED.lesion_image)
    shares = even_shares(worse)
    assert afroc_area(worse, ONE, shares=shares) == afroc_area(PUBLISHED, ONE, shares=shares)
    assert afroc_area(worse, ONE, shares=shares, every_image=True) < afroc_area(
        PUBLISHED, ONE, shares=shares, every_image=True
    )


def test_marks_of_detections() -> None:
    box, other = np.array([[0, 0, 10, 10.0]]), np.array([[50, 50, 60, 60.0]])
    images = [
        DetectedImage("a", "A", np.concatenate([box, other]), np.concatenate([box, box + 1]), np.array([0.9, 0.8])),
        DetectedImage("n", "N", np.zeros((0, 4)), other, np.array([0.85])),
        DetectedImage("m", "M", np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0)),
    ]
    marked = marked_images(rank(images), 0.5)
    assert marked.false.tolist() == [0.8, 0.85, UNMARKED]
    assert sorted(marked.lesions.tolist()) == [UNMARKED, 0.9]
    figures = afroc_figures(rank(images), Bootstrap(20))["afroc"]["iou_0.5"]
    assert figures["wafroc"]["value"] == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    lacking = afroc_figures(rank(images[:1]), Bootstrap(20))["afroc"]["iou_0.5"]
    assert lacking["wafroc"]["reason"] == "needs images with a lesion and images without one"
    assert lacking["wafroc1"]["value"] == pytest.approx(1 / 2)
