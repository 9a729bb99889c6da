"""Steps that were trained on masses leave other kinds alone: no outline, no rescored detection, no malignancy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.example.phantom import make_view
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import run_steps
from mammoscope.stages.step import PreparedExam, PreparedView

MIXED = np.array(["calcification", "mass", "calcification"])


@pytest.fixture(scope="module")
def exam_with_mass(bundle: Bundle) -> tuple[PreparedExam, Candidates]:
    """A prepared view, and three candidates on its mass."""
    view = make_view(1, 0, 832, 640)
    mammogram = Mammogram(view.pixels << np.uint16(4), "phantom", "0" * 64, "DICOM", 12)
    prepared = PreparedView.of(mammogram, bundle.manifest.preprocess)
    assert prepared.breast is not None
    box = prepared.breast.from_original.boxes(np.array([view.lesions[0].box]))
    return PreparedExam((prepared,)), Candidates.on_view(np.repeat(box, 3, axis=0), np.array([0.9, 0.8, 0.7]))


def test_only_masses_are_outlined_and_graded(bundle: Bundle, exam_with_mass: tuple[PreparedExam, Candidates]) -> None:
    exam, found = exam_with_mass
    steps = bundle.of_roles("segment", "classify")
    alone = run_steps(steps, exam, found.take(np.array([1])))
    mixed = run_steps(steps, exam, replace(found, kind=MIXED))
    assert alone.masks is not None and mixed.masks is not None
    assert alone.malignancy_score is not None and mixed.malignancy_score is not None
    np.testing.assert_array_equal(mixed.masks.probabilities[1], alone.masks.probabilities[0])
    assert not mixed.masks.binary[[0, 2]].any() and mixed.masks.binary[1].any()
    assert np.isnan(mixed.malignancy_score).tolist() == [True, False, True]
    assert mixed.malignancy_score[1] == alone.malignancy_score[0]


def test_without_a_mass_nothing_is_graded(bundle: Bundle, exam_with_mass: tuple[PreparedExam, Candidates]) -> None:
    exam, found = exam_with_mass
    others = run_steps(bundle.of_roles("segment", "classify"), exam, replace(found, kind=np.full(3, "asymmetry")))
    assert others.malignancy_score is not None and np.isnan(others.malignancy_score).all()
    assert others.masks is not None and not others.masks.binary.any()


def test_only_masses_are_rescored(bundle: Bundle, exam_with_mass: tuple[PreparedExam, Candidates]) -> None:
    exam, found = exam_with_mass
    (rescore,) = bundle.of_roles("rescore")
    every, mixed = rescore.step(exam, found), rescore.step(exam, replace(found, kind=MIXED))
    scores = dict(zip(mixed.kind.tolist(), mixed.detection_score.tolist(), strict=True))
    assert sorted(mixed.detection_score[mixed.kind == "calcification"].tolist()) == [0.7, 0.9]
    assert scores["mass"] in every.detection_score.tolist() and scores["mass"] != 0.8
    assert (np.diff(mixed.detection_score) <= 0).all()


def test_a_mass_must_be_graded(exam_with_mass: tuple[PreparedExam, Candidates]) -> None:
    _, found = exam_with_mass
    graded = replace(found, kind=MIXED, malignancy_score=np.array([np.nan, 0.5, np.nan]))
    assert graded.problem([True]) is None
    ungraded = replace(graded, malignancy_score=np.array([0.5, np.nan, 0.5]))
    assert ungraded.problem([True]) == "a malignancy_score that is not a number from 0 to 1"
