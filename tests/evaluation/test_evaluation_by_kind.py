"""Figures of each kind alone, against cases worked out by hand."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from mammoscope.evaluation.metrics.by_kind import detection_by_kind, pipeline_by_kind
from mammoscope.evaluation.metrics.detection import DetectedImage, detection_figures
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage
from mammoscope.evaluation.metrics.intervals import Bootstrap

KINDS = ("mass", "calcification")
HERE, THERE = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 70.0, 70.0)
BOOTSTRAP = Bootstrap(10, 0)

# A cluster and a mass; found are the mass, a mass where the cluster is, and the cluster.
BOTH = DetectedImage(
    image="a.png",
    patient="a",
    lesion_boxes=np.array([THERE, HERE]),
    boxes=np.array([HERE, THERE, THERE]),
    scores=np.array([0.9, 0.8, 0.7]),
    lesion_kinds=np.array(["calcification", "mass"]),
    kinds=np.array(["mass", "mass", "calcification"]),
)
NOTHING = DetectedImage(
    image="b.png",
    patient="b",
    lesion_boxes=np.zeros((0, 4)),
    boxes=np.zeros((0, 4)),
    scores=np.zeros(0),
    lesion_kinds=np.zeros(0, np.str_),
    kinds=np.zeros(0, np.str_),
)


def value(figures: Any, *keys: str) -> float:
    for key in keys:
        figures = figures[key]
    return cast(float, figures["value"])


def test_each_kind_has_its_lesions_and_its_detections() -> None:
    kinds: Any = detection_by_kind([BOTH, NOTHING], KINDS, BOOTSTRAP)["kinds"]
    assert list(kinds) == list(KINDS)
    assert [(kinds[kind]["images"], kinds[kind]["lesions"], kinds[kind]["detections"]) for kind in KINDS] == [
        (2, 1, 2),
        (2, 1, 1),
    ]
    assert value(kinds, "mass", "ap50") == value(kinds, "calcification", "ap50") == 1
    # Of both together the mass that is none comes before the cluster: precision 1 up to recall 0.5, then 2/3.
    every = detection_figures([BOTH, NOTHING], BOOTSTRAP)
    assert value(every, "ap50") == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_pipeline_grades_what_can_be_graded() -> None:
    # The mass is benign and called so; the cluster is malignant, and nothing grades it.
    analysed = AnalysedImage(
        detected=BOTH,
        lesion=np.array([1, -1, 0]),
        malignancy=np.array([0.1, np.nan, np.nan]),
        lesion_malignant=np.array([True, False]),
        lesion_graded=np.array([False, True]),
    )
    kinds: Any = pipeline_by_kind([analysed], KINDS, 0.5, 0.5, BOOTSTRAP)["kinds"]
    mass, cluster = (kinds[kind]["operating_point"] for kind in KINDS)
    assert (mass["found"], mass["true_found"], cluster["found"], cluster["true_found"]) == (2, 1, 1, 1)
    assert value(mass, "class_correct") == 1 and value(mass, "false_positives_per_image") == 1
    assert cluster["class_correct"]["value"] is None and value(cluster, "detected") == 1
    assert "pathology_unknown" not in kinds["mass"] and kinds["calcification"]["pathology_unknown"] == 1


def test_with_one_kind_there_is_nothing_to_tell_apart() -> None:
    assert detection_by_kind([BOTH], ("mass",), BOOTSTRAP) == {}
    assert pipeline_by_kind([], ("mass",), 0.5, 0.5, BOOTSTRAP) == {}
