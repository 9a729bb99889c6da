"""Pipeline figures over detection thresholds: against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.evaluation.metrics.end_to_end import (
    RATES,
    AnalysedImage,
    count,
    lesion_statistic,
    pipeline_figures,
    pipeline_rows,
    threshold_at_lesion_count,
    threshold_at_one_false_positive,
)
from mammoscope.evaluation.metrics.intervals import Bootstrap

LESION = [0.0, 0.0, 10.0, 10.0]


def analysed(
    scores: list[float],
    taken: list[int],
    malignancy: list[float],
    malignant: list[bool],
    patient: str = "P1",
) -> AnalysedImage:
    """An image whose detections ``taken`` >= 0 take that lesion; lesions lie 100 px apart."""
    lesions = np.array([LESION for _ in malignant]).reshape(-1, 4) + 100 * np.arange(len(malignant))[:, None]
    boxes = np.array([lesions[index] if index >= 0 else [500, 0, 520, 20] for index in taken]).reshape(-1, 4)
    detected = DetectedImage(f"{patient}.png", patient, lesions, boxes, np.array(scores, dtype=np.float64))
    return AnalysedImage(
        detected,
        np.array(taken, dtype=np.int64),
        np.array(malignancy),
        lesion_malignant=np.array(malignant, dtype=bool),
        lesion_graded=np.ones(len(malignant), dtype=bool),
    )


NAN = float("nan")
# By score: 0.9 right (malignant, called so), 0.7 false positive, 0.5 taken but called benign, 0.2 false positive.
EXAM = [
    analysed([0.9, 0.7], [0, -1], [0.8, NAN], [True], "P1"),
    analysed([0.5, 0.2], [1, -1], [0.1, NAN], [False, True], "P2"),
]


def test_nothing_found_on_any_image() -> None:
    figures = pipeline_figures([analysed([], [], [], [True])], 0.3, 0.5, Bootstrap(20))
    for point in (*figures["thresholds"], figures["operating_point"], figures["at_lesion_count"]):
        assert (point["found"], point["true_found"]) == (0, 0)
        assert point["detected"] == {"value": 0.0, "ci95": [0.0, 0.0]}
        for name in ("class_correct", "false_positive_rate"):
            assert point[name]["value"] is None
            assert point[name]["ci95"] is None
            assert point[name]["reason"]
    assert figures["at_lesion_count"]["threshold"] is None
    assert figures["at_lesion_count"]["reason"] == "the detector found nothing on any image"


@pytest.mark.parametrize(
    ("threshold", "found", "true_found", "rates"),
    [
        (0.95, 0, 0, (0, None, 0, None, 0)),
        (0.9, 1, 1, (1 / 3, 1, 1 / 3, 0, 0)),
        (0.7, 2, 1, (1 / 3, 1, 1 / 3, 1 / 2, 1 / 2)),
        (0.5, 3, 2, (2 / 3, 1 / 2, 1 / 3, 2 / 3, 1 / 2)),
        (0.05, 4, 2, (2 / 3, 1 / 2, 1 / 3, 3 / 4, 1)),
    ],
)
def test_worked_by_hand(threshold: float, found: int, true_found: int, rates: tuple[float | None, ...]) -> None:
    figures = pipeline_figures(EXAM, 0.5, 0.5, Bootstrap(20))
    (point,) = [point for point in figures["thresholds"] if point["threshold"] == threshold]
    assert (point["found"], point["true_found"]) == (found, true_found)
    assert [point[name]["value"] for name in RATES] == [None if rate is None else pytest.approx(rate) for rate in rates]


def test_thresholds_are_the_twentieths() -> None:
    figures = pipeline_figures(EXAM, 0.5, 0.5, Bootstrap(20))
    assert [point["threshold"] for point in figures["thresholds"]] == [round(0.05 * step, 2) for step in range(1, 20)]
    assert figures["operating_point"]["found"] == 3
    assert (figures["images"], figures["lesions"]) == (2, 3)


@pytest.mark.parametrize(
    ("scores", "lesions", "expected"),
    [
        ([], 1, None),
        ([0.4], 0, None),
        ([0.4], 1, 0.4),
        ([0.9, 0.8, 0.7], 2, 0.8),
        ([0.9, 0.5, 0.5, 0.5], 3, 0.5),  # 1 or 4 found: 4 is nearer to 3
        ([0.9, 0.5, 0.5], 2, 0.9),  # 1 and 3 are equally near: the higher score
        ([0.9], 5, 0.9),
    ],
)
def test_threshold_at_lesion_count(scores: list[float], lesions: int, expected: float | None) -> None:
    image = analysed(scores, [-1] * len(scores), [NAN] * len(scores), [True] * lesions)
    assert threshold_at_lesion_count([image]) == expected
    point = pipeline_figures([image], 0.5, 0.5, Bootstrap(5))["at_lesion_count"]
    assert (point["threshold"], point.get("reason") == "there is no lesion") == (expected, not lesions)


@pytest.mark.parametrize(
    ("scores", "taken", "expected"),
    [
        ([], [], None),
        ([0.4], [0], 0.4),
        ([0.9, 0.8, 0.7], [-1, 0, -1], 0.8),  # one image: the second false positive is one too many
        ([0.9, 0.8, 0.8], [-1, 0, -1], 0.9),  # equal scores pass together
        ([0.9, 0.9, 0.8], [-1, -1, 0], None),
    ],
)
def test_threshold_at_one_false_positive(scores: list[float], taken: list[int], expected: float | None) -> None:
    image = analysed(scores, taken, [0.9 if one >= 0 else NAN for one in taken], [True])
    assert threshold_at_one_false_positive([image]) == expected
    point = pipeline_figures([image], 0.5, 0.5, Bootstrap(5))["at_one_false_positive"]
    assert point["threshold"] == expected
    assert point["detected"]["value"] == (expected is not None and 0 in taken and expected <= scores[taken.index(0)])
    if expected is None:
        assert ("more than 1 false positive" in point["reason"]) == bool(scores)


def test_a_lesions_hits_agree_with_the_figures() -> None:
    statistic = lesion_statistic(EXAM, 0.5, 0.5)
    (point,) = [
        point for point in pipeline_figures(EXAM, 0.5, 0.5, Bootstrap(5))["thresholds"] if point["threshold"] == 0.5
    ]
    found = statistic(np.ones((1, 3)))
    assert {name: value[0] for name, value in found.items()} == pytest.approx(
        {name: point[name]["value"] for name in ("detected", "correct")}
    )
    assert statistic(np.array([[0.0, 0, 1]]))["detected"][0] == 1  # the second lesion of P2 is the one that is taken


def test_the_mean_over_patients_is_drawn_with_their_lesions() -> None:
    figures = pipeline_figures(EXAM, 0.5, 0.5, Bootstrap(400))
    # Draws: P1 twice 1/1, both 2/3, P2 twice 1/2.
    assert figures["operating_point"]["detected"]["ci95"] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("malignancy_threshold", "right"), [(0.05, [1, 1]), (0.5, [1, 0]), (0.8, [1, 0]), (0.9, [0, 0])]
)
def test_the_class_is_judged_at_the_malignancy_threshold(malignancy_threshold: float, right: list[int]) -> None:
    counts = count(EXAM, 0.05, malignancy_threshold)
    assert (counts.right.tolist(), counts.true_found.tolist()) == (right, [1, 1])


def test_figures_follow_from_the_rows() -> None:
    rows = pipeline_rows(EXAM, 0.5)
    figures = pipeline_figures(EXAM, 0.5, 0.5, Bootstrap(5))
    lesions = sum(row["lesion"] != "" for row in rows)
    assert lesions == figures["lesions"]
    for point in figures["thresholds"]:
        found = [row for row in rows if row["kind"] == "detection" and row["detection_score"] >= point["threshold"]]
        right = sum(row["right"] == 1 for row in found)
        assert len(found) == point["found"]
        assert sum(row["lesion"] != "" for row in found) == point["true_found"]
        assert point["correct"]["value"] == pytest.approx(right / lesions)
