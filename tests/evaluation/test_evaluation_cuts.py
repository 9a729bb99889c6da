"""Cuts from full images: the published mask lies where the mass is, boxes err as detections do, a blob fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_stages import Disc, Tiny, breast, lesion, tiny_bundle, with_step, write_dataset

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset, Lesion, load_dataset
from mammoscope.datasets.placed_masks import mask_in_cut
from mammoscope.evaluation.crops import average_mask
from mammoscope.evaluation.cut_cases import box_errors, erring, segment_cuts
from mammoscope.evaluation.metrics.cuts import CutLesion, all_cut_figures, cut_figures, cut_rows
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.stages.preprocess import Preprocessed, PreprocessSettings, preprocess
from mammoscope.stages.roi import MASS_FRACTION, cut_roi
from mammoscope.stages.step import PreparedExam

DISC: Disc = (70, 150, 20)
ROW = lesion("a.png", "P1", DISC)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "bundle").mkdir()
    return tiny_bundle(tmp_path / "bundle")


def wedge(width: int, height: int, *, flipped: bool, offset: int = 0) -> np.ndarray:
    """A crop's mask without any symmetry: a right triangle of this size, shifted by ``offset`` columns."""
    mask = np.zeros((256, 256), dtype=np.uint8)
    left, top = (256 - width) // 2 + offset, (256 - height) // 2
    corners = np.array([(left, top), (left, top + height - 1), (left + width - 1, top + height - 1)])
    cv2.fillPoly(mask, [corners], 255)
    return np.ascontiguousarray(mask[:, ::-1]) if flipped else mask


def dataset_with(folder: Path, row: Lesion, mask: np.ndarray, *, right: bool = False, aspect: float = 1.25) -> Dataset:
    image = breast([DISC], right=right, height=300, width=240)
    row = replace(row, crop="a-60.png", mask="a-60.png", pixel_aspect=aspect)
    write_dataset(folder, {"a.png": image}, [row])
    cv2.imwrite(str(folder / "masks" / "a-60.png"), mask)
    return load_dataset(folder)


def prepared_of(dataset: Dataset) -> Preprocessed:
    prepared = preprocess(dataset_mammogram(dataset, "a.png"), PreprocessSettings())
    assert prepared is not None
    return prepared


@pytest.mark.parametrize("right", [False, True], ids=["left breast", "right breast"])
@pytest.mark.parametrize("flipped", [False, True], ids=["crop as it is", "crop mirrored"])
@pytest.mark.parametrize("width", [1.0, 2.0])
@pytest.mark.parametrize("aspect", [1.25, 1.0, None])
def test_the_published_mask_fills_the_lesions_box(
    *, right: bool, flipped: bool, width: float, aspect: float | None, tmp_path: Path
) -> None:
    x, y, radius = DISC
    x = 239 - x if right else x
    row = lesion("a.png", "P1", (x, y, radius), crop_flipped=flipped)
    dataset = dataset_with(tmp_path / "data", row, wedge(180, 230, flipped=flipped), right=right, aspect=aspect)
    prepared = prepared_of(dataset)
    box = prepared.from_original.boxes(row.box[None])[0]
    roi = cut_roi(prepared.pixels, box, prepared.pixel_aspect, mass_fraction=MASS_FRACTION / width)
    mask, whole = mask_in_cut(dataset, dataset.lesions[0], prepared, roi)
    left, top, columns, rows = cv2.boundingRect(mask.astype(np.uint8))
    assert [left, top, left + columns, top + rows] == pytest.approx(roi.from_preprocessed.boxes(box[None])[0], abs=2)
    assert whole == pytest.approx(mask.sum(), rel=0.02)
    # The wedge stands upright at its left in the film; a right breast is mirrored, to have its chest wall at the left.
    upright = mask[top : top + rows, : left + columns // 2].sum() > mask[top : top + rows, left + columns // 2 :].sum()
    assert upright == (not right)


def test_a_crop_shifted_at_the_films_border_is_laid_by_its_mask(tmp_path: Path) -> None:
    row = lesion("a.png", "P1", DISC, crop_flipped=False)
    centred = dataset_with(tmp_path / "centred", row, wedge(120, 150, flipped=False))
    shifted = dataset_with(tmp_path / "shifted", row, wedge(120, 150, flipped=False, offset=-60))
    prepared = prepared_of(centred)
    roi = cut_roi(prepared.pixels, prepared.from_original.boxes(row.box[None])[0], prepared.pixel_aspect)
    masks = [mask_in_cut(dataset, dataset.lesions[0], prepared, roi)[0] for dataset in (centred, shifted)]
    assert (masks[0] ^ masks[1]).sum() < 0.01 * masks[0].sum()


def test_mass_beyond_the_cut_counts_as_missed(tmp_path: Path) -> None:
    row = lesion("a.png", "P1", DISC, crop_flipped=False)
    dataset = dataset_with(tmp_path / "data", row, wedge(230, 230, flipped=False))
    prepared = prepared_of(dataset)
    box = prepared.from_original.boxes(row.box[None])[0]
    beside = box + np.array([25.0, 0, 25.0, 0])
    roi = cut_roi(prepared.pixels, beside, prepared.pixel_aspect)
    inside, whole = mask_in_cut(dataset, dataset.lesions[0], prepared, roi)
    assert 0 < inside.sum() < 0.5 * whole


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ((0, 0, 0, 0), (10, 20, 30, 60)),
        ((0.5, -0.25, 0, 0), (20, 10, 40, 50)),
        ((0, 0, np.log(2), np.log(0.5)), (0, 30, 40, 50)),
    ],
)
def test_a_box_errs_as_told(error: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert erring(np.array([10.0, 20, 30, 60]), np.array(error)) == pytest.approx(expected)


class Off(Tiny):
    """A detector that boxes the one mass two thirds as wide, shifted by a quarter of its width, and something else."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        box = exam.breast().from_original.boxes(ROW.box[None])[0]
        moved = erring(box, np.array([0.1, 0, np.log(2 / 3), 0]))
        return Candidates.on_view(np.stack([moved, np.array([0.0, 0, 5, 5])]), np.array([0.9, 0.8]))


def test_errors_are_those_of_detections_that_take_a_lesion(tmp_path: Path, bundle: Bundle) -> None:
    dataset = dataset_with(tmp_path / "data", lesion("a.png", "P1", DISC), wedge(230, 230, flipped=False))
    (error,) = box_errors(dataset, with_step(bundle, "detector", Off()))
    assert error == pytest.approx([0.1, 0, np.log(2 / 3), 0], abs=1e-9)


@pytest.mark.parametrize("errors", [np.zeros((0, 4)), np.array([[0.1, 0, 0, 0], [0, 0.1, 0, 0], [-0.1, 0, 0, 0]])])
def test_every_cut_is_measured_and_the_seed_decides(errors: np.ndarray, tmp_path: Path, bundle: Bundle) -> None:
    rows = [
        lesion(f"{name}.png", name, DISC, crop=f"{name}-105.png", mask=f"{name}-105.png", crop_flipped=flipped)
        for name, flipped in (("a", False), ("b", True), ("c", None))
    ]
    folder = write_dataset(tmp_path / "data", {f"{name}.png": breast([DISC]) for name in "abc"}, rows)
    dataset = load_dataset(folder)
    average, _ = average_mask(dataset, bundle)
    cuts = segment_cuts(dataset, bundle, average, errors, seed=3)
    assert {name: len(of_name) for name, of_name in cuts.items()} == {
        "1": 2, "1.5": 2, "2": 2, "jittered": 2 if len(errors) else 0,
    }  # fmt: skip
    assert cut_rows(cuts) == cut_rows(segment_cuts(dataset, bundle, average, errors, seed=3))
    figures = all_cut_figures(cuts, errors, 3, Bootstrap(20))
    assert (figures["lesions_cut"], figures["lesions_left_out"]) == (2, 1)
    # The bright disc is its own outline at any width; a blob over the whole cut covers ever more tissue.
    wider = [figures["wider"][width] for width in ("1", "1.5", "2")]
    assert all(cut["iou_pooled"]["value"] > 0.85 for cut in wider)
    blob = [cut["baseline_iou_pooled"]["value"] for cut in wider]
    assert blob[1] == pytest.approx(blob[0] / 1.5**2, rel=0.15) and blob[2] == pytest.approx(blob[0] / 4, rel=0.15)
    on_box = [cut["box_baseline_iou_pooled"]["value"] for cut in wider]
    assert on_box == pytest.approx([on_box[0]] * 3, abs=0.03)
    jittered = figures["jittered"]
    assert jittered["detections"] == len(errors) == (3 if jittered["box_errors"] else 0)
    assert (jittered["iou_pooled"]["value"] is None) == (not len(errors))
    if len(errors):
        assert {row["error"]: row["median"] for row in jittered["box_errors"]} == dict.fromkeys(
            ("shift_x", "shift_y", "log_width", "log_height"), 0
        )


def test_worked_by_hand() -> None:
    cuts = [CutLesion(ROW, 100, 100, 50, 200, 100, 100, 80), CutLesion(ROW, 300, 100, 100, 200, 100, 100, 60)]
    figures = cut_figures(cuts, Bootstrap(10), on_box=True)
    assert {name: figure["value"] for name, figure in figures.items()} == pytest.approx(
        {
            "iou_pooled": 150 / (150 + 300),
            "dice_mean": (0.5 + 0.5) / 2,
            "baseline_iou_pooled": 200 / (200 + 400),
            "box_baseline_iou_pooled": 140 / (400 + 200 - 140),
        }
    )
    assert cut_figures([], Bootstrap(10), on_box=False)["iou_pooled"] == {
        "value": None, "ci95": None, "reason": "no lesion could be cut from its full image",
    }  # fmt: skip
