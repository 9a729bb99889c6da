"""Detection figures: against hand-worked cases and against faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import replace

import numpy as np
import pytest

from mammoscope.evaluation.metrics.any_view import any_view_figures
from mammoscope.evaluation.metrics.detection import (
    COCO_IOUS,
    FROC_RATES,
    MATCH_IOUS,
    DetectedImage,
    average_precision,
    average_recall,
    detection_figures,
    froc_sensitivity,
    lesion_hits,
    match,
    rank,
    threshold_at_rate,
)
from mammoscope.evaluation.metrics.detection_curves import froc_curve, precision_recall_curve
from mammoscope.evaluation.metrics.detection_rows import detection_rows
from mammoscope.evaluation.metrics.intervals import Bootstrap


def detected(lesions: list, boxes: list, scores: list, patient: str = "P1", image: str = "a.png") -> DetectedImage:
    return DetectedImage(
        image,
        patient,
        np.array(lesions, dtype=np.float64).reshape(-1, 4),
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(scores, dtype=np.float64),
    )


def box(x: float, y: float = 0, size: float = 10) -> list[float]:
    return [x, y, x + size, y + size]


def once(images: list[DetectedImage]) -> np.ndarray:
    return np.ones((1, len(images)))


@pytest.mark.parametrize(
    ("iou", "threshold", "expected"),
    [
        (np.zeros((0, 0)), 0.5, []),
        (np.zeros((0, 2)), 0.5, []),
        (np.zeros((2, 0)), 0.5, [-1, -1]),
        ([[0.5]], 0.5, [0]),
        ([[0.49]], 0.5, [-1]),
        ([[0.9], [0.95]], 0.5, [0, -1]),  # each lesion once, first come
        ([[0.6, 0.8], [0.7, 0.9]], 0.5, [1, 0]),  # the second takes what is left
        ([[0.6, 0.8], [0.3, 0.9]], 0.5, [1, -1]),
        ([[0.7, 0.7]], 0.5, [1]),  # of equals the last, as COCO
    ],
)
def test_matching(iou: object, threshold: float, expected: list[int]) -> None:
    assert match(np.asarray(iou, dtype=np.float64), threshold).tolist() == expected


def seen_again(image: DetectedImage, *keys: str) -> DetectedImage:
    return replace(image, lesion_keys=tuple((image.patient, key) for key in keys))


def test_a_lesion_of_several_views_counts_once_and_is_found_in_any() -> None:
    one, other, far = box(0), box(50), box(500)
    images = [
        seen_again(detected([one, other], [one, far], [0.9, 0.8], image="cc"), "1", "2"),  # a hit, a false positive
        seen_again(detected([one, other], [other, one, far], [0.7, 0.6, 0.1], image="mlo"), "1", "2"),  # 1 is hit again
        seen_again(detected([one], [], [], patient="P2", image="alone"), "1"),  # another woman's
    ]
    figures = any_view_figures(images, rank(images), Bootstrap(50))
    assert (figures["lesions_in_any_view"], figures["in_several_views"]) == (3, 2)
    found = {rate: figure["value"] for rate, figure in figures["froc_any_view"]["iou_0.5"].items()}
    # One false positive on three images is a rate of 0.33: at 0.25 only what outscores it is found.
    assert found == pytest.approx({"0.25": 1 / 3, "0.5": 2 / 3, "1": 2 / 3, "2": 2 / 3, "4": 2 / 3})
    by_view = detection_figures(images, Bootstrap(50))["froc"]["iou_0.5"]
    assert by_view["0.5"]["value"] == pytest.approx(3 / 5)


def test_without_a_lesion_in_several_views_there_is_nothing_to_tell_by_lesion() -> None:
    images = [detected([box(0)], [box(0)], [0.9], image=name) for name in ("a", "b")]
    assert any_view_figures(images, rank(images), Bootstrap(20)) == {}


def test_no_detection_at_all_scores_zero() -> None:
    figures = detection_figures([detected([box(0)], [], [])], Bootstrap(20))
    assert figures["ap"] == {"value": 0.0, "ci95": [0.0, 0.0]}
    assert figures["ar100"]["value"] == 0.0
    assert figures["froc"]["iou_0.5"]["4"]["value"] == 0.0
    assert (figures["images"], figures["lesions"], figures["detections"]) == (1, 1, 0)


def test_no_lesion_has_no_figure_and_says_why() -> None:
    figures = detection_figures([detected([], [box(0)], [0.9])], Bootstrap(20))
    assert figures["ap"]["value"] is None
    assert figures["ap"]["reason"]
    assert figures["froc"]["iou_0.2"]["1"]["value"] is None


def test_no_image_has_no_figure() -> None:
    assert detection_figures([], Bootstrap(20))["ap50"]["value"] is None


def test_worked_by_hand() -> None:
    # Two images, three lesions. By score: hit, false, hit; the third lesion is never found.
    images = [
        detected([box(0), box(50)], [box(0), box(80)], [0.9, 0.8], "P1", "a.png"),
        detected([box(0)], [box(0)], [0.7], "P2", "b.png"),
    ]
    ranking = rank(images)
    # Recall 1/3 at precision 1 covers recalls 0..0.33 (34 points), recall 2/3 at 2/3 covers 0.34..0.66 (33 points).
    assert average_precision(ranking, once(images))[0] == pytest.approx([(34 + 33 * 2 / 3) / 101] * 10)
    assert average_recall(ranking, once(images))[0] == pytest.approx(2 / 3)
    # 0.5 false positives an image allow the one false positive, 0.25 allow none.
    assert froc_sensitivity(ranking, 0.5, once(images))[0] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3])
    false, sensitivity = froc_curve(ranking, 0.5)
    assert false.tolist() == [0, 0.5, 0.5]
    assert sensitivity == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    recall, precision = precision_recall_curve(ranking, 0.5)
    assert recall == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert precision == pytest.approx([1, 2 / 3, 2 / 3])


def test_froc_passes_equal_scores_together() -> None:
    # Hit and false positive share a score: no threshold gives the hit without the false positive.
    images = [detected([box(0)], [box(0), box(50)], [0.9, 0.9])]
    assert froc_sensitivity(rank(images), 0.5, once(images))[0].tolist() == [0, 0, 1, 1, 1]


def test_froc_counts_a_second_detection_of_a_lesion_as_false() -> None:
    images = [detected([box(0), box(50)], [box(0), box(0.5), box(50)], [0.9, 0.8, 0.7])]
    assert froc_sensitivity(rank(images), 0.5, once(images))[0].tolist() == [0.5, 0.5, 1, 1, 1]


def test_froc_at_iou_02_is_more_lenient() -> None:
    images = [detected([box(0)], [box(5)], [0.9])]  # IoU 1/3
    assert froc_sensitivity(rank(images), 0.5, once(images))[0, -1] == 0
    assert froc_sensitivity(rank(images), 0.2, once(images))[0, -1] == 1


def random_images(seed: int, count: int = 25, *, ties: bool = False, crowded: bool = False) -> list[DetectedImage]:
    rng = np.random.default_rng(seed)
    images = []
    for number in range(count):
        lesions = np.concatenate([rng.uniform(0, 500, (rng.integers(0, 4), 2)), np.zeros((0, 2))])
        lesions = np.concatenate([lesions, lesions + rng.uniform(20, 200, lesions.shape)], axis=1)
        near = np.repeat(lesions, 3, axis=0) + rng.normal(0, 12, (3 * len(lesions), 4))
        far = rng.uniform(0, 500, (130 if crowded else rng.integers(0, 12), 2))
        boxes = np.concatenate([near, np.concatenate([far, far + rng.uniform(20, 200, far.shape)], axis=1)])
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:] - 1), boxes[:, 2:]], axis=1)
        scores = rng.uniform(0, 1, len(boxes)) * np.where(np.arange(len(boxes)) < len(near), 1, 0.7)
        scores = np.round(scores, 1) if ties else scores
        order = np.argsort(-scores, kind="stable")
        images.append(detected(lesions, boxes[order], scores[order], f"P{number // 2}", f"{number}.png"))
    return images


def coco_figures(images: list[DetectedImage]) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster

    def xywh(corners: np.ndarray) -> list[float]:
        x0, y0, x1, y1 = corners.tolist()
        return [x0, y0, x1 - x0, y1 - y0]

    truth = [
        {"image_id": number, "category_id": 1, "bbox": xywh(b), "area": (b[2] - b[0]) * (b[3] - b[1]), "iscrowd": 0}
        for number, image in enumerate(images, start=1)
        for b in image.lesion_boxes
    ]
    found = [
        {"image_id": number, "category_id": 1, "bbox": xywh(b), "score": float(score)}
        for number, image in enumerate(images, start=1)
        for b, score in zip(image.boxes, image.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(
            {
                "images": [{"id": n, "width": 1000, "height": 1000} for n in range(1, len(images) + 1)],
                "categories": [{"id": 1, "name": "mass"}],
                "annotations": [row | {"id": number} for number, row in enumerate(truth, start=1)],
            }
        )
        evaluator = COCOeval_faster(coco, coco.loadRes(found), "bbox")
        evaluator.run()
    return dict(zip(("ap", "ap50", "ap75"), evaluator.stats[:3], strict=True)) | {"ar100": evaluator.stats[8]}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [{}, {"ties": True}, {"crowded": True}], ids=["plain", "ties", "crowded"])
def test_agrees_with_coco(seed: int, kind: dict[str, bool]) -> None:
    images = random_images(seed, **kind)
    assert any(not len(image.lesion_boxes) for image in images)
    figures = detection_figures(images, Bootstrap(2))
    expected = coco_figures(images)
    assert 0.05 < expected["ap50"] < 0.95
    for name, value in expected.items():
        assert figures[name]["value"] == pytest.approx(value, abs=1e-9), name


def test_an_image_of_weight_two_counts_as_two_copies() -> None:
    images = random_images(7, 12)
    weights = np.random.default_rng(0).integers(0, 3, len(images))
    copies = [image for image, times in zip(images, weights, strict=True) for _ in range(times)]
    weighted, ranking, ones = rank(images), rank(copies), once(copies)
    row = weights[None].astype(np.float64)
    assert average_precision(weighted, row)[0] == pytest.approx(average_precision(ranking, ones)[0])
    assert average_recall(weighted, row) == pytest.approx(average_recall(ranking, ones))
    for iou in (0.2, 0.5):
        assert froc_sensitivity(weighted, iou, row)[0] == pytest.approx(froc_sensitivity(ranking, iou, ones)[0])


def test_drawing_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(3)
    whole = detection_figures(images, Bootstrap(50))
    monkeypatch.setattr("mammoscope.evaluation.metrics.detection._CHUNK_ELEMENTS", 1000)
    assert detection_figures(images, Bootstrap(50)) == whole


def test_figures_follow_from_the_rows() -> None:
    images = random_images(5)
    figures = detection_figures(images, Bootstrap(2))
    rows = detection_rows(images)
    hits = sorted((row for row in rows if row["kind"] == "detection"), key=lambda row: -row["score"])
    lesions = sum(row["kind"] == "missed_lesion" for row in rows) + sum(row["hit_0.50"] for row in hits)
    assert lesions == figures["lesions"]
    average = []
    for iou in COCO_IOUS:
        found = np.cumsum([row[f"hit_{iou:.2f}"] for row in hits])
        precision = found / np.arange(1, len(found) + 1)
        points = [precision[found / lesions >= recall] for recall in np.linspace(0, 1, 101)]
        average.append(np.mean([each.max() if len(each) else 0 for each in points]))
    assert np.mean(average) == pytest.approx(figures["ap"]["value"])
    assert set(rows[0]) >= {f"hit_{iou:.2f}" for iou in MATCH_IOUS} | {"image", "patient", "best_iou", "lesion", "x0"}


def test_a_validation_fold_takes_seconds() -> None:
    images = random_images(1, 250)
    start = time.perf_counter()
    figures = detection_figures(images, Bootstrap(2000))
    assert time.perf_counter() - start < 20
    for name in ("ap", "ap50", "ap75", "ar100"):
        low, high = figures[name]["ci95"]
        assert low < figures[name]["value"] < high
    assert list(figures["froc"]["iou_0.5"]) == [f"{rate:g}" for rate in FROC_RATES]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("iou", [0.2, 0.5])
def test_lesion_hits_at_one_false_positive_are_the_froc_point(seed: int, iou: float) -> None:
    images = random_images(seed, 20, ties=True)
    ranking = rank(images)
    hits = lesion_hits(images, iou, threshold_at_rate(ranking, iou, 1))
    assert len(hits) == ranking.lesions.sum()
    assert hits.mean() == pytest.approx(froc_sensitivity(ranking, iou, once(images))[0, FROC_RATES.index(1)])


def test_no_threshold_where_the_best_detections_are_false() -> None:
    images = [detected([box(0)], [box(80), box(120), box(0)], [0.9, 0.9, 0.5])]
    assert threshold_at_rate(rank(images), 0.5, 1) == float("inf")
    assert lesion_hits(images, 0.5, float("inf")).tolist() == [0]
