"""What a chain says of whole images and where it looks: by hand, on drawn breasts, and of the bundle that ships."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_stages
from tiny_stages import BrightSpots, Disc, MaskSize, breast, lesion, tiny_bundle, with_manifest, with_step

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import Dataset, ImageRow, load_dataset, write_layout
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.metrics.weak import LookedAt, weak_figures, weak_rows
from mammoscope.evaluation.run import evaluate
from mammoscope.evaluation.weak_cases import image_malignant, look_at_images, peaks_of
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.manifests import OperatingPoint
from mammoscope.stages.step import PreparedExam
from synthetic_dataset import write_dataset

LARGE: Disc = (80, 150, 20)
SMALL: Disc = (60, 130, 12)


def looked_at(name: str, malignant: bool | None, **fields: object) -> LookedAt:
    """An image on which nothing is known and nothing found, but what ``fields`` say."""
    nothing: dict[str, object] = {
        "lesion_boxes": np.zeros((0, 4)),
        "lesion_malignant": np.zeros(0, dtype=bool),
        "boxes": np.zeros((0, 4)),
        "peaks": np.zeros((0, 2)),
        "detection": np.zeros(0),
        "malignancy": np.zeros(0),
        "outlines": None,
        "breast_found": True,
    }
    return LookedAt(image=name, patient=name, malignant=malignant, **{**nothing, **fields})  # type: ignore[arg-type]


def one_patch(score: float, malignancy: float, peak: tuple[float, float]) -> dict[str, object]:
    return {
        "boxes": np.array([[0.0, 0, 9, 9]]),
        "peaks": np.array([peak]),
        "detection": np.array([score]),
        "malignancy": np.array([malignancy]),
    }


# A malignant mass beside a benign one: the surer candidate is on the benign one, the more malignant one on the other.
BOTH = looked_at(
    "both",
    True,
    lesion_boxes=np.array([[10.0, 10, 20, 20], [40, 40, 60, 60]]),
    lesion_malignant=np.array([True, False]),
    boxes=np.array([[40.0, 40, 60, 60], [10, 10, 20, 20]]),
    peaks=np.array([[50.0, 50], [20, 20]]),  # the second on the very corner of its lesion
    detection=np.array([0.9, 0.8]),
    malignancy=np.array([0.2, 0.5]),
    outlines=(100, 60, 40),
)
BESIDE = looked_at(
    "beside", True, lesion_boxes=np.array([[10.0, 10, 20, 20]]), lesion_malignant=np.array([True]), outlines=(50, 0, 0),
    **one_patch(0.5, 0.4, (20.5, 15)),
)  # fmt: skip
BENIGN = looked_at(
    "benign", False, lesion_boxes=np.array([[0.0, 0, 5, 5]]), lesion_malignant=np.array([False]),
    **one_patch(0.5, 0.4, (2, 2)),
)  # fmt: skip
NORMAL = looked_at("normal", False)
UNKNOWN = looked_at(
    "unknown", None, lesion_boxes=np.array([[0.0, 0, 5, 5]]), lesion_malignant=np.array([False]), breast_found=False
)


def test_figures_are_as_worked_out_by_hand() -> None:
    figures = weak_figures([BOTH, BESIDE, BENIGN, NORMAL, UNKNOWN], 0.3, Bootstrap(50))
    assert [BOTH.score, BESIDE.score, NORMAL.score] == pytest.approx([0.4, 0.2, 0])
    values = {name: figure["value"] if isinstance(figure, dict) else figure for name, figure in figures.items()}
    assert values == pytest.approx(
        {
            "images": 5,
            "images_without_breast": 1,
            "malignant": 2,
            "pathology_unknown": 1,
            "image_auc": 3.5 / 4,  # of the four pairs one is tied
            "images_with_lesion": 4,
            "pointing_game": 2 / 4,
            "pointing_game_malignant": 1 / 2,
            "images_outlined": 2,
            "threshold": 0.3,
            "dice_mean": (80 / 160 + 0) / 2,
            "iou_pooled": 40 / (120 + 50),
        }
    )
    intervals = [figure["ci95"] for figure in figures.values() if isinstance(figure, dict)]
    assert len(intervals) == 5 and all(0 <= low < high <= 1 for low, high in intervals)


def test_each_row_says_what_its_figures_need() -> None:
    both, beside, benign, normal, unknown = weak_rows([BOTH, BESIDE, BENIGN, NORMAL, UNKNOWN])
    assert (both["peak_x"], both["hit"], both["malignant_peak_x"], both["hit_malignant"]) == (50, 1, 20, 1)
    assert (both["true"], both["drawn"], both["common"], both["dice"]) == (100, 60, 40, 0.5)
    assert (beside["hit"], beside["hit_malignant"], beside["dice"]) == (0, 0, 0)
    assert (benign["malignant"], benign["hit"], benign["hit_malignant"], benign["dice"]) == (0, 1, "", "")
    assert (normal["lesions"], normal["hit"], normal["peak_x"], normal["image_score"]) == (0, "", "", 0)
    assert (unknown["malignant"], unknown["breast_found"], unknown["hit"]) == ("", 0, 0)


@pytest.mark.parametrize("images", [[], [NORMAL], [BESIDE]])
def test_what_cannot_be_measured_has_a_reason(images: list[LookedAt]) -> None:
    figures = weak_figures(images, 0.3, Bootstrap(10))
    assert figures["image_auc"]["value"] is None  # type: ignore[index]
    for figure in figures.values():
        if isinstance(figure, dict) and figure["value"] is None:
            assert figure["ci95"] is None and "image" in figure["reason"]


@pytest.mark.parametrize(
    ("pathologies", "expected"),
    [
        ([], False),
        (["BENIGN", "BENIGN_WITHOUT_CALLBACK"], False),
        (["BENIGN", "UNKNOWN"], None),
        (["UNKNOWN", "MALIGNANT"], True),
    ],
)
def test_an_image_is_as_malignant_as_its_most_malignant_lesion(pathologies: list[str], expected: bool | None) -> None:
    assert image_malignant([lesion("a.png", "P1", SMALL, pathology=each) for each in pathologies]) is expected


def test_the_peak_of_a_plateau_lies_on_it() -> None:
    masks = np.zeros((3, 8, 8), dtype=np.float32)
    masks[0, 2, 1:4] = 0.9  # its middle pixel is (2, 2)
    masks[1, [0, 0, 7], [0, 7, 0]] = 0.5  # the mean of these three is on none of them
    boxes = np.array([[10.0, 20, 18, 28]] * 3)
    # Each ROI is its box at half the scale, mirrored.
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI).cropped(10, 20).flipped_horizontally(8)
    found = Candidates.on_view(boxes, np.ones(3))
    assert peaks_of(found).tolist() == [[14, 24]] * 3
    drawn = Candidates(
        found.view, found.boxes, found.kind, found.detection_score,
        RoiBatch(np.zeros((3, 8, 8), dtype=np.uint8), (change,) * 3), Masks(masks, 0.5),
    )  # fmt: skip
    peaks = peaks_of(drawn)
    assert peaks[0].tolist() == [10 + 8 - 2.5, 22.5]
    assert peaks[1].tolist() in [[17.5, 20.5], [10.5, 20.5], [17.5, 27.5]]
    assert peaks[2].tolist() == [14, 24]  # an empty mask has no peak


def drawn_dataset(folder: Path) -> Path:
    """A malignant mass whose mask is half of it, a benign one on a mirrored breast, and a breast without any."""
    x, y, radius = LARGE
    rows = [
        lesion("a.png", "P1", LARGE, pathology="MALIGNANT", crop="a-60.png", mask="a-60.png", crop_flipped=False),
        lesion("b.png", "P2", (239 - x, y, radius), breast_side="RIGHT"),
    ]
    images = {"a.png": breast([LARGE]), "b.png": breast([LARGE], right=True), "c.png": breast([SMALL])}
    tiny_stages.write_dataset(folder, images, rows)
    sides = ("LEFT", "RIGHT", "LEFT")
    listed = tuple(ImageRow(f"{name}.png", f"P{row}", sides[row - 1], "CC") for row, name in enumerate("abc", start=1))
    write_layout(Dataset(folder, tuple(rows), "", listed, DatasetInfo(name="drawn")))
    return folder


def test_a_chain_is_measured_on_its_outlines_and_peaks(tmp_path: Path) -> None:
    dataset = load_dataset(drawn_dataset(tmp_path / "data"))
    bundle = tiny_bundle(tmp_path)
    a, b, c = look_at_images(dataset, bundle)
    # A disc of radius 20 has a score of 41 / 60; brightness is the mask, whose plateau is the disc.
    assert a.detection == pytest.approx([41 / 60], abs=0.03)
    for image, x in ((a, LARGE[0]), (b, 239 - LARGE[0])):
        assert image.peaks[0] == pytest.approx([x + 0.5, LARGE[1] + 0.5], abs=1.5)
        assert image.hit
    assert a.hit_malignant and not b.hit_malignant
    # The mask's disc fills the lesion's box, as the outline does; b has none, and c no lesion.
    assert a.outlines is not None and b.outlines is None and c.outlines is None
    area = np.pi * LARGE[2] ** 2 * 1024 / 240 * 1024 / 300
    assert a.outlines[:2] == pytest.approx((area, area), rel=0.08)
    assert a.dice > 0.93
    assert c.score == pytest.approx(c.detection[0] * c.malignancy[0]) and c.score > 0


def test_only_outlines_from_the_threshold_are_measured_and_all_candidates_score(tmp_path: Path) -> None:
    dataset = load_dataset(drawn_dataset(tmp_path / "data"))
    strict = with_manifest(tiny_bundle(tmp_path), thresholds=OperatingPoint(detection=0.9, malignancy=0.5))
    image = look_at_images(dataset, strict)[0]
    assert image.outlines is not None and image.outlines[1:] == (0, 0)
    assert image.dice == 0 and image.score > 0 and image.hit


class Many(BrightSpots):
    """Finds twenty places on every breast, each less surely than the one before."""

    scores = np.linspace(0.9, 0.05, 20)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        return Candidates.on_view(np.arange(20)[:, None] * 4 + np.array([[0.0, 100, 30, 130]]), self.scores)


class Together(MaskSize):
    """Grades as ``MaskSize``, and does not say that it looks at each candidate alone."""

    row_by_row = False


def test_candidates_that_change_no_figure_are_not_graded(tmp_path: Path) -> None:
    dataset = load_dataset(drawn_dataset(tmp_path / "data"))
    bundle = with_step(tiny_bundle(tmp_path), "detector", Many())
    some, every = look_at_images(dataset, bundle), look_at_images(dataset, with_step(bundle, "classifier", Together()))
    assert [len(image.detection) for image in every] == [20] * 3
    # At least all from the threshold of 0.3.
    assert all(len(image.detection) in (16, 20) for image in some) and len(some[0].detection) == 16
    said = [[{**row, "graded": 0} for row in weak_rows(images)] for images in (some, every)]
    assert said[0] == said[1]


def test_the_bundle_that_ships_is_measured(bundle: Bundle, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", patients=2)
    report = json.loads(evaluate("weak", dataset, tmp_path / "out", bundle, draws=50).read_text())
    assert (report["images"], report["malignant"], report["images_outlined"]) == (2, 1, 2)
    assert report["threshold"] == bundle.manifest.thresholds.detection
    with (tmp_path / "out" / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    # Every figure follows from the rows.
    scores = np.array([float(row["image_score"]) for row in rows])
    malignant = np.array([row["malignant"] == "1" for row in rows])
    pairs = scores[malignant][:, None] - scores[~malignant][None]
    assert report["image_auc"]["value"] == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    assert report["pointing_game"]["value"] == pytest.approx(np.mean([row["hit"] == "1" for row in rows]))
    hits = [row["hit_malignant"] == "1" for row in rows if row["malignant"] == "1"]
    assert report["pointing_game_malignant"]["value"] == pytest.approx(np.mean(hits))
    true, drawn, common = (np.array([int(row[name]) for row in rows]) for name in ("true", "drawn", "common"))
    assert report["dice_mean"]["value"] == pytest.approx((2 * common / (true + drawn)).mean())
    assert report["iou_pooled"]["value"] == pytest.approx(common.sum() / (true + drawn - common).sum())
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Evaluation of whole images" in page and 'alt="ROC: images"' in page
