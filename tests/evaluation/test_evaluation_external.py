"""Datasets of others: BI-RADS as truth, marks of several kinds, and images without a lesion."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tiny_stages import Disc, breast, lesion, tiny_bundle, with_manifest, write_dataset

from mammoscope.bundle import Bundle
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import Dataset, ImageRow, load_dataset, write_layout
from mammoscope.errors import DatasetError
from mammoscope.evaluation.external import birads_malignant
from mammoscope.evaluation.run import evaluate
from mammoscope.stages.manifests import Provenance

SURE: Disc = (60, 150, 12)
FAINT: Disc = (110, 130, 5)  # below the threshold


@pytest.mark.parametrize(
    ("assessment", "malignant"),
    [
        ("4", True), ("4A", True), ("BI-RADS-4c", True), ("BI-RADS 5", True), ("birads: 6", True), ("6.0", True),
        ("1", False), ("BIRADS 3", False), ("0", None), ("", None), ("7", None), ("probably benign", None),
        ("12", None),
    ],
)  # fmt: skip
def test_what_a_category_says(assessment: str, malignant: bool | None) -> None:
    assert birads_malignant(assessment) is malignant


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    return tiny_bundle(tmp_path / "bundle")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A mass of known pathology, three of BI-RADS alone (one with a contour), and two normals, one flagged."""
    rows = [
        lesion("a.png", "P1", SURE, pathology="BENIGN", assessment="5"),
        lesion("b.png", "P2", SURE, pathology="UNKNOWN", assessment="BI-RADS 4", crop="b-60.png", mask="b-60.png"),
        lesion("c.png", "P3", SURE, pathology="UNKNOWN", assessment="2"),
        lesion("d.png", "P4", SURE, pathology="UNKNOWN", assessment="0"),
    ]
    images = {f"{name}.png": breast([SURE]) for name in "abcdn"} | {"m.png": breast([FAINT])}
    folder = write_dataset(tmp_path / "data", images, rows)
    sides = {"a": "LEFT", "n": "RIGHT"}  # the two of P1, whose right breast is normal
    listed = [
        ImageRow(f"{name}.png", patient, sides.get(name, "LEFT"), "CC", vendor="X" if name in "ab" else "Y")
        for name, patient in zip("abcdnm", ("P1", "P2", "P3", "P4", "P1", "P5"), strict=True)
    ]
    info = DatasetInfo(name="drawn", marks="circle")
    write_layout(Dataset(folder, tuple(rows), "", tuple(listed), info))
    return load_dataset(folder)


def test_labels_are_taken_as_what_they_are_and_named(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = json.loads(evaluate("pipeline", dataset.folder, out, bundle, draws=20, external=True).read_text())
    assert report["external"] == {
        "truth": {"pathology": 1, "birads": 2, "unknown": 1},
        "marks": {"contour": 1, "box": 0, "circle": 3},
        "images_normal": 2,
    }
    assert report["pathology_unknown"] == 1 and "not a diagnosis" in report["definition"]["birads"]
    assert (report["normals"]["images"], report["with_lesion"]["images"]) == (2, 4)
    # Malignant is b alone; d is not known. Breasts: a, b, c, n, m; of patients P1 is benign.
    units = {name: (level["units"], level["positive"]) for name, level in report["levels"].items()}
    assert units == {"image": (5, 1), "breast": (5, 1), "patient": (4, 1)}
    assert report["levels"]["image"]["left_out"] == 1
    groups = {(row["by"], row["group"]): row for row in report["breakdown"]}
    assert groups["mark", "circle"]["lesions"] == 3 and groups["vendor", "X"]["lesions"] == 2
    assert groups["vendor", "Y"]["warning"] == "too few: 2 lesions of 2 patients"
    assert ("kind", "mass") not in groups  # all alike
    plain = json.loads(evaluate("pipeline", dataset.folder, tmp_path / "plain", bundle, draws=20).read_text())
    assert plain["pathology_unknown"] == 3 and "external" not in plain


def test_the_detector_is_judged_on_all_images_and_on_normals(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    report = json.loads(evaluate("detector", dataset.folder, tmp_path, bundle, draws=20, external=True).read_text())
    # One false positive on six images, and on two normals, ties with all four hits.
    assert report["froc"]["iou_0.5"]["0.25"]["value"] == 1
    assert report["froc_normals"]["iou_0.5"]["0.25"]["value"] == 0
    assert report["froc_normals"]["iou_0.5"]["0.5"]["value"] == 1
    assert report["afroc"]["iou_0.5"]["wafroc"]["value"] == pytest.approx((4 * 0.5 + 4) / 8)
    assert report["levels"]["image"]["auc"]["value"] == pytest.approx((4 * 0.5 + 4) / 8)
    with (tmp_path / "cases.csv").open(newline="") as stream:
        assert {row["breast"] for row in csv.DictReader(stream)} == {"LEFT", "RIGHT"}


def test_training_data_are_not_external(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    trained = Provenance(
        recipe={}, data="drawn", data_sha256=dataset.sha256, split="", training_patients=1, validation_patients=1,
        epochs=1, code_version="", licence="", credits=(), onnx_difference=0,
    )  # fmt: skip
    detector, *others = bundle.manifest.steps
    steps = (detector.model_copy(update={"provenance": trained}), *others)
    with pytest.raises(DatasetError, match="'detector' was trained on it"):
        evaluate("detector", dataset.folder, tmp_path, with_manifest(bundle, steps=steps), external=True)
