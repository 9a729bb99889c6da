"""Datasets of edition 2: images without a lesion, lesions of unknown pathology, other kinds, exams, others' figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_stages import (
    BrightSpots,
    Disc,
    MaskSize,
    Tiny,
    breast,
    disc_crop,
    lesion,
    tiny_bundle,
    with_step,
    write_dataset,
)

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.importers.cbis_ddsm.published import published_info
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import Dataset, ImageRow, load_dataset, write_layout
from mammoscope.errors import BundleError
from mammoscope.evaluation.cases import exams_of
from mammoscope.evaluation.run import Stage, evaluate
from mammoscope.stages.step import PreparedExam

SURE: Disc = (60, 150, 12)  # a score of 25 / 60, above the tiny bundle's threshold of 0.3
FAINT: Disc = (110, 130, 5)  # 11 / 60


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    return tiny_bundle(tmp_path / "bundle")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A benign mass, one of unknown pathology, calcifications, and four images without, one said to hide a mass."""
    images = {
        "a.png": breast([SURE]),
        "b.png": breast([SURE]),
        "c.png": breast([SURE]),
        "n1.png": breast([SURE]),
        "n2.png": breast([FAINT]),
        "n3.png": breast([FAINT]),
        "n4.png": breast([SURE]),
    }
    rows = [
        lesion("a.png", "P1", SURE, pathology="BENIGN"),
        lesion("b.png", "P2", SURE, pathology="UNKNOWN"),
        lesion("c.png", "P3", SURE, pathology="BENIGN", kind="calcification"),
    ]
    folder = write_dataset(tmp_path / "data", images, rows)
    listed = [
        ImageRow(image, patient, "LEFT", "CC", exam=exam, normal=False if image == "n4.png" else None)
        for image, patient, exam in [
            ("a.png", "P1", "1"), ("b.png", "P2", "1"), ("c.png", "P3", "1"), ("n1.png", "P1", "2"),
            ("n2.png", "P4", "1"), ("n3.png", "P4", "1"), ("n4.png", "P5", "1"),
        ]
    ]  # fmt: skip
    write_layout(Dataset(folder, tuple(rows), "", tuple(listed), DatasetInfo(name="drawn")))
    return load_dataset(folder)


def measured(stage: str, dataset: Dataset, bundle: Bundle, out: Path) -> dict:
    return json.loads(evaluate(stage, dataset.folder, out, bundle, draws=20).read_text())


@pytest.mark.parametrize("stage", ["detector", "pipeline"])
def test_false_positives_on_normals_stand_beside_those_on_images_with_a_lesion(
    stage: str, dataset: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    report = measured(stage, dataset, bundle, tmp_path / "out")
    normals, others = report["normals"], report["with_lesion"]
    # Of n1, n2 and n3 one is flagged; c shows another kind and n4 a mass that is not listed: neither is normal.
    assert normals["images"] == 3
    assert normals["flagged"]["value"] == normals["false_positives_per_image"]["value"] == pytest.approx(1 / 3)
    assert others["images"] == 2 and others["flagged"]["value"] == 0
    assert (report["images"], report["unlisted"], report["lesions"]) == (5, 2, 2)


def test_a_dataset_without_normals_has_no_figure_of_them(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    ill = dataset.of_patients(["P2"])
    write_layout(ill)
    assert "normals" not in measured("detector", ill, bundle, tmp_path / "out")


def test_a_lesion_of_unknown_pathology_is_found_and_never_rightly_classified(
    dataset: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    report = measured("pipeline", dataset, bundle, tmp_path / "out")
    point = report["operating_point"]
    assert report["pathology_unknown"] == 1
    assert (point["found"], point["true_found"]) == (3, 2)
    assert point["detected"]["value"] == 1
    # The one mass of known pathology is benign, and called so.
    assert point["class_correct"]["value"] == point["correct"]["value"] == 1
    assert point["false_positive_rate"]["value"] == pytest.approx(1 - 1 / 2)
    classified = measured("classifier", dataset, bundle, tmp_path / "classified")
    assert (classified["boxes"]["lesions"], classified["pathology_unknown"]) == (1, 1)


@pytest.mark.parametrize(("stage", "cases"), [("segmenter", 2 * 7), ("classifier", 7)])
def test_exams_without_a_lesion_are_not_read_where_only_lesions_count(
    stage: Stage, cases: int, dataset: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    for image in (
        "c.png",
        "n1.png",
        "n2.png",
        "n3.png",
        "n4.png",
    ):  # c shows another kind
        dataset.image_path(image).write_bytes(b"not an image")
    calls: list[tuple[int, int]] = []
    evaluate(stage, dataset.folder, tmp_path, bundle, draws=20, progress=lambda *call: calls.append(call))
    assert calls[-1] == (cases, cases)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_masks_without_a_crop_are_cut_and_none_is_left_out(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    for name, disc in (("whole.png", SURE), ("unplaced-60.png", None)):
        mask = np.zeros((300, 240) if disc else (256, 256), dtype=np.uint8)
        cv2.circle(mask, disc[:2] if disc else (128, 128), disc[2] if disc else 60, 255, cv2.FILLED)
        cv2.imwrite(str(dataset.folder / "masks" / name), mask)
    cv2.imwrite(str(dataset.folder / "crops/unplaced-60.png"), disc_crop(60)[0])
    first, second, third = dataset.lesions
    cropped = replace(second, crop="unplaced-60.png", mask="unplaced-60.png")  # who knows how its crop lies?
    write_layout(replace(dataset, lesions=(replace(first, mask="whole.png"), cropped, third)))
    report = measured("segmenter", dataset, bundle, tmp_path / "both")
    assert (report["lesions_cut"], report["lesions_left_out"]) == (1, 1)
    write_layout(replace(dataset, lesions=(replace(first, mask="whole.png"), second, third)))
    report = measured("segmenter", dataset, bundle, tmp_path / "whole")
    assert (report["lesions_cut"], report["lesions_left_out"]) == (1, 0)


def test_exams_are_those_of_one_patient_and_name(dataset: Dataset) -> None:
    assert exams_of(dataset) == [("a.png",), ("b.png",), ("c.png",), ("n1.png",), ("n2.png", "n3.png"), ("n4.png",)]


class Together(Tiny):
    """Scores each candidate by the number of views of its exam: what only a step over a whole exam can."""

    scope = "exam"
    row_by_row = False

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        spots = [BrightSpots()(exam.alone(view), Candidates.none()).moved_to(view) for view in range(len(exam.views))]
        everything = Candidates.joined(spots)
        return replace(everything, detection_score=everything.detection_score * 0 + len(exam.views) / 10)


def test_a_step_over_exams_is_measured_over_exams(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    measured("detector", dataset, with_step(bundle, "detector", Together()), out)
    lines = [line.split(",") for line in (out / "cases.csv").read_text().splitlines()]
    header, *rows = lines
    score, image = header.index("score"), header.index("image")
    assert {(row[image], row[score]) for row in rows} == {
        ("a.png", "0.1"), ("b.png", "0.1"), ("n1.png", "0.1"), ("n2.png", "0.2"), ("n3.png", "0.2"),
    }  # fmt: skip


def test_figures_that_others_published_come_with_the_dataset(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    write_layout(replace(dataset, stated=published_info()))
    report = measured("detector", dataset, bundle, tmp_path / "out")
    assert report["published_reference"]["figures"] == {"ap": 0.257, "ap50": 0.611}
    assert "Published reference" in (tmp_path / "out" / "report.html").read_text()


class Dropping(Tiny):
    """Says that it only fills in fields, and drops what it is given."""

    row_by_row = True

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        return found.above(2)


class Raising(MaskSize):
    """Says that it only fills in fields, and changes the detection score."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        return replace(super().__call__(exam, found), detection_score=found.detection_score / 2)


@pytest.mark.parametrize(("step", "named"), [(Dropping(), "drop"), (Raising(), "changes detection scores on a.png")])
def test_a_step_that_does_more_than_it_says_is_not_measured(
    step: Tiny, named: str, dataset: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=named):
        measured("pipeline", dataset, with_step(bundle, "classifier", step), tmp_path / "out")


class Calcifications(BrightSpots):
    """Finds the right places and calls them by another name."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        spots = super().__call__(exam, found)
        return replace(spots, kind=np.full(len(spots), "calcification"))


def test_a_hit_is_of_the_lesions_kind(dataset: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    report = measured("detector", dataset, with_step(bundle, "detector", Calcifications()), tmp_path / "out")
    assert report["ap50"]["value"] == 0 and report["detections"] > 0
