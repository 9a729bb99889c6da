"""Segmenter figures: against hand-worked masks and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.metrics.segmentation import (
    PROBABILITY_BINS,
    SegmentedLesion,
    boundary_f1,
    measure,
    probability_histogram,
    segmentation_figures,
    segmentation_rows,
)


def square(left: int, top: int, size: int, frame: int = 32) -> np.ndarray:
    mask = np.zeros((frame, frame), dtype=bool)
    mask[top : top + size, left : left + size] = True
    return mask


EMPTY = square(0, 0, 0)


def measured(
    true: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None = None, patient: str = "P1"
) -> SegmentedLesion:
    return measure(
        probabilities=predicted.astype(np.float32) if probabilities is None else probabilities,
        threshold=0.5,
        true=true,
        baseline=square(8, 8, 16),
        image="a.png",
        patient=patient,
        abnormality_id="1",
        crop="a_1.png",
    )


def values(lesions: list[SegmentedLesion]) -> dict[str, object]:
    figures = segmentation_figures(lesions, Bootstrap(20))
    return {name: figure["value"] if isinstance(figure, dict) else figure for name, figure in figures.items()}


def test_no_lesion_with_a_mask() -> None:
    figures = segmentation_figures([], Bootstrap(20))
    assert figures["lesions"] == 0
    for name, figure in figures.items():
        if isinstance(figure, dict):
            assert figure == {"value": None, "ci95": None, "reason": "no lesion has both a crop and a mask"}, name


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (EMPTY, EMPTY, 1.0),
        (EMPTY, square(4, 4, 8), 0.0),
        (square(4, 4, 8), EMPTY, 0.0),
        (square(4, 4, 8), square(4, 4, 8), 1.0),
        (square(5, 4, 1), square(7, 4, 1), 1.0),  # 2 px apart is within the tolerance
        (square(5, 4, 1), square(8, 4, 1), 0.0),
        # Shifted by (2, 2): of 28 boundary pixels, the outer corner and its two neighbours lie farther than 2 px.
        (square(6, 6, 8), square(4, 4, 8), 1 - 3 / 28),
        (~EMPTY, ~EMPTY, 1.0),  # a mass that fills the frame has the frame as its boundary
    ],
)
def test_boundary_f1(predicted: np.ndarray, true: np.ndarray, expected: float) -> None:
    assert boundary_f1(predicted, true) == pytest.approx(expected)
    assert boundary_f1(true, predicted) == pytest.approx(expected)


def test_boundary_f1_agrees_with_all_pairs_of_boundary_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = [square(*rng.integers(1, 14, 2), rng.integers(3, 15)) for _ in range(2)]
        edges = []
        for mask in masks:
            padded = np.pad(mask, 1)
            inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
            edges.append(np.argwhere(mask & ~inner))
        near = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=2) <= 2
        precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert boundary_f1(*masks) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("true", "predicted", "iou", "dice"),
    [
        (EMPTY, EMPTY, 1.0, 1.0),
        (square(0, 0, 4), EMPTY, 0.0, 0.0),
        (EMPTY, square(0, 0, 1), 0.0, 0.0),
        (square(0, 0, 1), square(0, 0, 1), 1.0, 1.0),
        (square(0, 0, 4), square(2, 0, 4), 8 / 24, 0.5),
    ],
)
def test_overlap_of_one_lesion(true: np.ndarray, predicted: np.ndarray, iou: float, dice: float) -> None:
    lesion = measured(true, predicted)
    assert (lesion.iou, lesion.dice) == pytest.approx((iou, dice))


def test_worked_by_hand() -> None:
    # Lesion 1: true 16, predicted 16, common 8. Lesion 2: true 256 = the average mask, predicted the same.
    found = values([measured(square(0, 0, 4), square(2, 0, 4)), measured(square(8, 8, 16), square(8, 8, 16))])
    assert found["lesions"] == 2
    assert found["iou_mean"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["dice_mean"] == pytest.approx(0.75)
    assert found["iou_pooled"] == pytest.approx(264 / 280)
    background = (2048 - 280) / (2048 - 264)
    assert found["miou"] == pytest.approx((264 / 280 + background) / 2)
    assert found["precision"] == found["recall"] == pytest.approx(264 / 272)
    assert found["baseline_iou_pooled"] == pytest.approx(256 / (272 + 512 - 256))


def test_agrees_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    lesions, truths, scores, calls = [], [], [], []
    for number in range(6):
        true = square(*rng.integers(2, 12, 2), 12)
        probabilities = (rng.integers(0, 256, true.shape) / 256 * 0.7 + true * 0.25).astype(np.float32)
        # In the middle of a bin, so that the histogram loses nothing.
        probabilities = ((np.floor(probabilities * PROBABILITY_BINS) + 0.5) / PROBABILITY_BINS).astype(np.float32)
        predicted = probabilities >= 0.5
        lesions.append(measured(true, predicted, probabilities, f"P{number}"))
        truths.append(true.ravel())
        scores.append(probabilities.ravel())
        calls.append(predicted.ravel())
    truth, score, call = map(np.concatenate, (truths, scores, calls))
    found = values(lesions)
    assert found["pixel_auc"] == pytest.approx(metrics.roc_auc_score(truth, score))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, call))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, call))
    assert found["iou_pooled"] == pytest.approx(metrics.jaccard_score(truth, call))
    assert found["miou"] == pytest.approx(metrics.jaccard_score(truth, call, average="macro"))
    assert found["dice_mean"] == pytest.approx(
        np.mean([metrics.f1_score(t, c) for t, c in zip(truths, calls, strict=True)])
    )


def test_nothing_predicted_leaves_precision_without_value() -> None:
    figures = segmentation_figures([measured(square(8, 8, 8), EMPTY)], Bootstrap(20))
    assert figures["precision"] == {"value": None, "ci95": None, "reason": "no pixel was predicted as mass"}
    assert figures["recall"]["value"] == 0


def test_histogram_of_probabilities_keeps_the_ends() -> None:
    histogram = probability_histogram(np.array([0.0, 1 / 256, 0.999, 1.0], dtype=np.float32))
    assert (histogram[0], histogram[1], histogram[255], histogram.sum()) == (1, 1, 2, 4)


def test_rows_hold_what_the_figures_need() -> None:
    lesions = [measured(square(0, 0, 4), square(2, 0, 4)), measured(square(8, 8, 16), square(8, 9, 16))]
    rows = segmentation_rows(lesions)
    common, true, predicted = (sum(row[name] for row in rows) for name in ("common", "true", "predicted"))
    assert values(lesions)["iou_pooled"] == pytest.approx(common / (true + predicted - common))
    counts = [int(count) for count in rows[1]["mass_histogram"].split()]
    assert len(counts) == PROBABILITY_BINS
    assert sum(counts) == rows[1]["true"]
