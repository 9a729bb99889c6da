"""Figures by group: who is in which group, and that a group's figures are those of its lesions alone."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_stages import breast, lesion, write_dataset

from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.evaluation.metrics.breakdown import breakdown, in_order_of_images
from mammoscope.evaluation.metrics.classification import classified, lesion_statistic
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.report.panels import best_median_worst

# Boxes of 13 and 41 pixels in an image of 240 x 300: 4.8% and 15% of its size.
SMALL, LARGE = (60, 150, 6), (100, 140, 20)
EDGE = (60, 150, 8)  # 17 pixels: 6.3%
MEDIUM = (60, 150, 9)  # 19 pixels: 7.1%


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    rows = [
        lesion("a.png", "P1", SMALL, breast_density="2", mass_shape="OVAL", subtlety="5", pathology="MALIGNANT"),
        lesion("a.png", "P1", LARGE, breast_density="2", mass_shape="OVAL-LYMPH_NODE", abnormality_id="2"),
        lesion("b.png", "P2", EDGE, breast_density="4", view="MLO", pathology="MALIGNANT"),
        lesion("c.png", "P3", MEDIUM, breast_density="4", view="MLO", mass_shape="IRREGULAR"),
    ]
    images = {name: breast([]) for name in ("a.png", "b.png", "c.png")}
    return load_dataset(write_dataset(tmp_path_factory.mktemp("data") / "set", images, rows))


def test_groups_and_their_figures(dataset: Dataset) -> None:
    lesions = in_order_of_images(dataset)
    identities = [(one.image, one.patient_id, one.abnormality_id, one.malignant) for one in lesions]
    statistic = lesion_statistic(classified(identities, [0.9, 0.2, 0.3, 0.6]), 0.5)
    found = {(row["by"], row["group"]): row for row in breakdown(dataset, lesions, statistic, Bootstrap(50))}
    assert list(found) == [
        ("density", "2"), ("density", "4"), ("size", "small"), ("size", "medium"), ("size", "large"), ("view", "CC"),
        ("view", "MLO"), ("subtlety", "5"), ("subtlety", "not stated"), ("shape", "IRREGULAR"), ("shape", "OVAL"),
        ("shape", "other"), ("shape", "not stated"),
    ]  # fmt: skip
    counts = {name: (row["lesions"], row["patients"]) for name, row in found.items()}
    assert counts["density", "2"] == (2, 1) and counts["density", "4"] == (2, 2)
    assert counts["size", "small"] == (2, 2) and counts["subtlety", "not stated"] == (3, 3)
    assert [found["density", group]["auc"]["value"] for group in "24"] == [1, 0]
    assert [found["density", group]["accuracy"]["value"] for group in "24"] == [1, 0]
    assert found["density", "2"]["accuracy"]["ci95"] == [1, 1]
    assert found["shape", "OVAL"]["auc"] == {
        "value": None, "ci95": None, "reason": "the group has no lesion of a kind that the figure needs",
    }  # fmt: skip
    for by in ("density", "size", "view", "subtlety", "shape"):
        assert sum(row["lesions"] for (name, _), row in found.items() if name == by) == 4


def test_no_lesion_has_no_group(dataset: Dataset) -> None:
    nothing = lesion_statistic(classified([], []), 0.5)
    assert breakdown(dataset, [], nothing, Bootstrap(10)) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([3], [("best, median, worst", 3)]),
        ([2, 1], [("best", 1), ("median, worst", 2)]),
        ([5, 1, 9, 4, 4], [("best", 1), ("median", 4), ("worst", 9)]),
    ],
)
def test_best_median_and_worst(values: list[int], expected: list[tuple[str, int]]) -> None:
    assert best_median_worst(values, lambda value: value) == expected


def test_a_groups_interval_is_drawn_over_patients(dataset: Dataset) -> None:
    lesions = in_order_of_images(dataset)
    hits = np.array([1.0, 1, 1, 0])
    rows = breakdown(
        dataset, lesions, lambda weights: {"share": weights @ hits / np.maximum(weights.sum(axis=1), 1)}, Bootstrap(400)
    )
    (dense,) = [row for row in rows if (row["by"], row["group"]) == ("density", "4")]
    assert dense["share"] == {"value": 0.5, "ci95": [0.0, 1.0]}
