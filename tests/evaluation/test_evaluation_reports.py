"""Whole evaluations, from a folder to the three files, with small real stages."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_stages import (
    BrightSpots,
    Disc,
    Tiny,
    breast,
    disc_crop,
    lesion,
    tiny_bundle,
    with_average_mask,
    with_manifest,
    with_step,
    write_dataset,
)

from mammoscope import NOTICE, __version__
from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates, Masks
from mammoscope.datasets.layout import load_dataset
from mammoscope.errors import BundleError, DatasetError, MammoscopeError
from mammoscope.evaluation.crops import average_mask
from mammoscope.evaluation.run import evaluate
from mammoscope.files import file_sha256
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import PreparedExam

STAGES = ("detector", "segmenter", "classifier", "pipeline", "weak")
NEAR: Disc = (60, 150, 12)
FAR: Disc = (110, 130, 20)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    folder.mkdir()
    return tiny_bundle(folder)


@pytest.fixture
def one_image(tmp_path: Path) -> Path:
    row = lesion("a.png", "P1", NEAR, pathology="MALIGNANT", crop="a-60.png", mask="a-60.png")
    return write_dataset(tmp_path / "one", {"a.png": breast([NEAR])}, [row])


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients: a left breast with two masses, a right one, one whose mass is not seen, and an empty film."""
    mirrored = (239 - NEAR[0], NEAR[1], NEAR[2])
    return write_dataset(
        tmp_path_factory.mktemp("data") / "exams",
        {
            "a.png": breast([NEAR, FAR]),
            "b.png": breast([NEAR], right=True),
            "c.png": breast([FAR]),
            "d.png": np.zeros((300, 240), dtype=np.uint16),
        },
        [
            lesion("a.png", "P1", NEAR, pathology="MALIGNANT", crop="a-60.png", mask="a-60.png"),
            lesion("a.png", "P1", FAR, abnormality_id="2", crop="a-100.png", mask="a-100.png"),
            lesion("b.png", "P2", mirrored, pathology="MALIGNANT", breast_side="RIGHT"),
            lesion("c.png", "P3", (40, 180, 15), pathology="BENIGN_WITHOUT_CALLBACK", crop="c-80.png", mask="c-80.png"),
            lesion("d.png", "P4", NEAR),
        ],
    )


@pytest.fixture(scope="module")
def evaluated(exams: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The output folder of each stage's evaluation on ``exams``."""
    out = tmp_path_factory.mktemp("evaluated")
    bundle = tiny_bundle(out)
    for stage in STAGES:
        run(stage, exams, bundle, out / stage)
    return {stage: out / stage for stage in STAGES}


def read(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def run(stage: str, folder: Path, bundle: Bundle, out: Path, **options: object) -> dict:
    path = evaluate(stage, folder, out, bundle, **{"draws": 100, **options})
    assert path == out / "report.json"
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in report.json"))


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "cases.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def figures_of(value: object, place: str = "") -> dict[str, dict]:
    """All figures of a report by their path."""
    if isinstance(value, dict) and "value" in value:
        return {place: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {name: each for key, part in pairs for name, each in figures_of(part, f"{place}/{key}").items()}


KEYS = {
    "detector": ["ap", "ap50", "ap75", "ar100", "froc", "images", "lesions"],
    "segmenter": [
        "lesions",
        "iou_mean",
        "dice_mean",
        "iou_pooled",
        "miou",
        "pixel_auc",
        "precision",
        "recall",
        "boundary_f1",
        "baseline_iou_pooled",
    ],
    "classifier": ["boxes", "crops"],
    "pipeline": ["thresholds", "at_lesion_count", "operating_point"],
    "weak": ["image_auc", "pointing_game", "pointing_game_malignant", "dice_mean", "iou_pooled"],
}


@pytest.mark.parametrize("stage", STAGES)
def test_one_image_is_enough(stage: str, one_image: Path, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    report = run(stage, one_image, bundle, out)
    assert set(KEYS[stage]) <= set(report)
    assert (report["stage"], report["seed"], report["draws"]) == (stage, 0, 100)
    assert report["code_version"] == __version__
    assert report["notice"] == NOTICE
    table = one_image / "lesions.csv"
    assert report["dataset"] == {"name": f"{tmp_path.name}/one", "sha256": file_sha256(table), "patients": 1}
    assert report["bundle"] == {"name": "tiny", "version": "1", "sha256": "f" * 64, "kinds": ["mass"]}
    assert "published_reference" not in report, "nobody published figures of these drawn images"
    figures = {name: each for name, each in figures_of(report).items() if "published" not in name}
    assert figures
    for name, figure in figures.items():
        if figure["value"] is None:
            assert figure["ci95"] is None, name
            assert figure["reason"], name
        else:
            assert figure["ci95"] == pytest.approx([figure["value"]] * 2), name
    assert sorted(path.name for path in out.iterdir()) == ["cases.csv", "report.html", "report.json"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_figure_has_a_definition(stage: str, evaluated: dict[str, Path]) -> None:
    report = read(evaluated[stage])
    about = {"definition", "dataset", "bundle", "published_reference", "notice"}
    about |= {"stage", "seed", "draws", "code_version"}

    def keys(value: object) -> set[str]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = set(value) if isinstance(value, dict) else set()
        return own.union(*map(keys, parts))

    measured = keys({key: value for key, value in report.items() if key not in about})
    inner = {"value", "reason"} | {key for key in measured if re.fullmatch(r"iou_0\.[25]|[0-9.]+", key)}
    assert measured - inner <= set(report["definition"])
    assert all(text.endswith(".") for text in report["definition"].values())


@pytest.mark.parametrize(
    ("stage", "place"),
    [
        ("detector", ""),
        ("segmenter", ""),
        ("classifier", "boxes"),
        ("classifier", "crops/predicted_mask"),
        ("pipeline", ""),
    ],
)
def test_every_lesion_is_in_one_group_of_each_kind(stage: str, place: str, evaluated: dict[str, Path]) -> None:
    measured = read(evaluated[stage])
    for key in filter(None, place.split("/")):
        measured = measured[key]
    groups = measured["breakdown"]
    for by in ("density", "size", "view", "subtlety", "shape"):
        assert sum(row["lesions"] for row in groups if row["by"] == by) == measured["lesions"]


@pytest.mark.parametrize(
    ("stage", "pictures"), [("detector", 3), ("segmenter", 3), ("classifier", 8), ("pipeline", 4), ("weak", 3)]
)
def test_curves_and_cases_are_shown(stage: str, pictures: int, evaluated: dict[str, Path]) -> None:
    page = (evaluated[stage] / "report.html").read_text()
    assert page.count("<img") == pictures
    assert "Best, median and worst case" in page


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_stands_alone(stage: str, evaluated: dict[str, Path]) -> None:
    page = (evaluated[stage] / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(|<script", page)
    assert NOTICE in page
    assert "Published reference" not in page


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_seed_gives_the_same_files(
    stage: str, exams: Path, bundle: Bundle, evaluated: dict[str, Path], tmp_path: Path
) -> None:
    run(stage, exams, bundle, tmp_path / "out")
    for name in ("report.json", "report.html", "cases.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (evaluated[stage] / name).read_bytes()


def test_detector(evaluated: dict[str, Path]) -> None:
    out = evaluated["detector"]
    report = read(out)
    assert (report["images"], report["lesions"], report["images_without_breast"]) == (4, 5, 1)
    # Three of five lesions are hit, that of the right breast among them; one detection is false.
    assert report["froc"]["iou_0.5"]["0.25"]["value"] == pytest.approx(3 / 5)
    assert report["ap50"]["value"] == pytest.approx(0.6, abs=0.15)
    found = rows(out)
    assert [row["kind"] for row in found].count("missed_lesion") == 2
    (hit,) = [row for row in found if row["image"] == "b.png"]
    assert float(hit["best_iou"]) > 0.9
    assert float(hit["x0"]) == pytest.approx(239 - NEAR[0] - NEAR[2], abs=2)  # in pixels of the file, not flipped
    (empty,) = [row for row in found if row["image"] == "d.png"]
    assert (empty["kind"], empty["score"], empty["best_iou"]) == ("missed_lesion", "", "0.0")


def test_segmenter(evaluated: dict[str, Path]) -> None:
    out = evaluated["segmenter"]
    report = read(out)
    assert report["lesions"] == 3
    # The segmenter finds the bright disc, the truth is a disc 10 px larger.
    discs = [(disc_crop(radius)[0] > 50, disc_crop(radius)[1] > 0) for radius in (60, 100, 80)]
    assert report["iou_mean"]["value"] == pytest.approx(np.mean([(a & b).sum() / (a | b).sum() for a, b in discs]))
    assert report["precision"]["value"] == 1
    assert report["boundary_f1"]["value"] == 0
    # The mean of these three masks at 0.5 is the middle one.
    (_, small), (_, large), (_, middle) = discs
    common = sum((middle & mask).sum() for mask in (small, large, middle))
    union = sum((middle | mask).sum() for mask in (small, large, middle))
    assert report["baseline_iou_pooled"]["value"] == pytest.approx(common / union)
    assert "own masks" in report["definition"]["baseline_iou_pooled"]


def test_the_average_mask_of_the_bundle_is_the_baseline(one_image: Path, bundle: Bundle, tmp_path: Path) -> None:
    grey = np.full((128, 128), 127, dtype=np.uint8)
    grey[32:96, 32:96] = 128
    bundle = with_average_mask(bundle, grey)
    report = run("segmenter", one_image, bundle, tmp_path / "out")
    true = disc_crop(60)[1] > 0
    square = np.zeros((256, 256), dtype=bool)
    square[64:192, 64:192] = True
    expected = (true & square).sum() / (true | square).sum()
    assert report["baseline_iou_pooled"]["value"] == pytest.approx(expected, abs=0.02)
    assert "training masks" in report["definition"]["baseline_iou_pooled"]
    assert average_mask(load_dataset(one_image), bundle)[1]


def test_classifier(evaluated: dict[str, Path]) -> None:
    out = evaluated["classifier"]
    report = read(out)
    boxes, crops = report["boxes"], report["crops"]
    assert (boxes["lesions"], boxes["malignant"], boxes["without_breast"]) == (5, 2, 1)
    assert crops["lesions"] == crops["true_mask"]["lesions"] == crops["predicted_mask"]["lesions"] == 3
    assert crops["true_mask"]["malignant"] == 1
    # The classifier takes the smallest mask for the most malignant, and on crops that is so.
    assert crops["true_mask"]["auc"]["value"] == crops["predicted_mask"]["auc"]["value"] == 1
    found = [row for row in rows(out) if row["set"] == "crops.true_mask"]
    scores = {row["abnormality_id"] + row["image"]: float(row["malignancy_score"]) for row in found}
    assert scores["1a.png"] == pytest.approx(1 - (disc_crop(60)[1] > 0).mean())
    # A disc's box fills 0.9 of the ROI's side, on the mirrored breast as well: so much of the ROI is its mask.
    seen = [row for row in rows(out) if row["set"] == "boxes" and row["image"] in ("a.png", "b.png")]
    of_box = [(breast([disc]) > 50000).sum() / (2 * disc[2] + 1) ** 2 for disc in (NEAR, FAR, NEAR)]
    expected = [1 - 0.9**2 * share for share in of_box]
    assert [float(row["malignancy_score"]) for row in seen] == pytest.approx(expected, abs=0.02)
    assert len(rows(out)) == 5 + 3 + 3


def test_classifier_without_crops_gives_reasons(tmp_path: Path, bundle: Bundle) -> None:
    folder = write_dataset(tmp_path / "data", {"a.png": breast([NEAR])}, [lesion("a.png", "P1", NEAR)])
    report = run("classifier", folder, bundle, tmp_path / "out")
    assert report["crops"]["lesions"] == 0
    assert report["crops"]["true_mask"]["auc"]["value"] is None
    assert report["boxes"]["auc"]["reason"] == "all lesions are benign"


def test_pipeline(evaluated: dict[str, Path]) -> None:
    out = evaluated["pipeline"]
    report = read(out)
    point = report["operating_point"]
    assert (point["threshold"], point["found"], point["true_found"]) == (0.3, 4, 3)
    assert point["detected"]["value"] == pytest.approx(3 / 5)
    assert point["false_positives_per_image"]["value"] == pytest.approx(1 / 4)
    right = sum(row["right"] == "1" for row in rows(out))
    assert point["correct"]["value"] == pytest.approx(right / 5)
    assert point["false_positive_rate"]["value"] == pytest.approx(1 - right / 4)
    assert report["at_lesion_count"]["found"] == 4
    assert len(report["thresholds"]) == 19
    assert report["at_one_false_positive"]["detected"]["value"] >= point["detected"]["value"]


def test_progress_counts_up_to_all_cases(exams: Path, bundle: Bundle, tmp_path: Path) -> None:
    for stage, total in zip(STAGES, (4, 3 + 4 + 4, 4 + 3, 4, 4), strict=True):
        calls: list[tuple[int, int]] = []
        run(stage, exams, bundle, tmp_path / stage, progress=lambda done, of, calls=calls: calls.append((done, of)))
        assert [done for done, _ in calls] == sorted({done for done, _ in calls})
        assert calls[-1] == (total, total)


@pytest.mark.parametrize("stage", STAGES)
def test_no_breast_on_any_image(stage: str, tmp_path: Path, bundle: Bundle) -> None:
    black = np.zeros((300, 240), dtype=np.uint16)
    folder = write_dataset(tmp_path / "data", {"a.png": black}, [lesion("a.png", "P1", NEAR)])
    report = run(stage, folder, bundle, tmp_path / "out")
    if stage == "detector":
        assert report["ap"]["value"] == 0
    if stage == "classifier":
        assert (report["boxes"]["lesions"], report["boxes"]["without_breast"]) == (1, 1)


def test_a_lesion_is_classified_where_no_breast_is_found(tmp_path: Path, bundle: Bundle) -> None:
    table = [lesion("a.png", "P1", NEAR, pathology="MALIGNANT"), lesion("a.png", "P1", FAR, abnormality_id="2")]
    folder = write_dataset(tmp_path / "data", {"a.png": breast([NEAR, FAR])}, table)
    settings = bundle.manifest.preprocess.model_copy(update={"minimum_area": 0.99})
    blind = with_manifest(bundle, preprocess=settings)
    report = run("classifier", folder, blind, tmp_path / "out")
    assert (report["boxes"]["lesions"], report["boxes"]["without_breast"]) == (2, 2)
    expected = [1 - 0.9**2 * (breast([disc]) > 50000).sum() / (2 * disc[2] + 1) ** 2 for disc in (NEAR, FAR)]
    assert [float(row["malignancy_score"]) for row in rows(tmp_path / "out")] == pytest.approx(expected, abs=0.02)


def test_crops_of_another_size_are_resized(tmp_path: Path, one_image: Path, bundle: Bundle) -> None:
    for name in ("crops", "masks"):
        path = one_image / name / "a-60.png"
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), cv2.resize(pixels, (512, 512), interpolation=cv2.INTER_NEAREST))
    report = run("segmenter", one_image, bundle, tmp_path / "out")
    assert report["iou_mean"]["value"] == pytest.approx((60 / 70) ** 2, abs=0.02)


def spoil_image(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"no picture")


def spoil_crop(folder: Path) -> None:
    cv2.imwrite(str(folder / "crops" / "a-60.png"), np.zeros((10, 20), dtype=np.uint8))


def spoil_mask(folder: Path) -> None:
    (folder / "masks" / "a-60.png").write_bytes(b"")


def remove_table(folder: Path) -> None:
    (folder / "lesions.csv").unlink()


@pytest.mark.parametrize(
    ("stage", "spoil", "named"),
    [
        ("detector", spoil_image, "a.png"),
        ("pipeline", spoil_image, "a.png"),
        ("segmenter", spoil_crop, "20 x 10"),
        ("classifier", spoil_mask, "a-60.png"),
        ("detector", remove_table, "lesions.csv"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_named(
    *, stage: str, spoil: Callable[[Path], None], named: str, one_image: Path, bundle: Bundle, tmp_path: Path
) -> None:
    spoil(one_image)
    with pytest.raises(DatasetError, match=re.escape(named)):
        run(stage, one_image, bundle, tmp_path / "out")
    assert not (tmp_path / "out" / "report.json").exists()


class NotANumber(Tiny):
    """A step of a broken model."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        if self.stage == "detector":
            return Candidates.on_view(np.array([[0.0, 0.0, 5.0, 5.0]]), np.array([np.nan]))
        if self.stage == "segmenter":
            rois = rois_of(exam, found)
            return replace(found, rois=rois, masks=Masks(np.full(rois.pixels.shape, np.nan, dtype=np.float32), 0.5))
        return replace(found, malignancy_score=np.full(len(found), 1.5))


@pytest.mark.parametrize("stage", STAGES[:3])
def test_a_stage_that_gives_no_scores_is_refused(stage: str, one_image: Path, bundle: Bundle, tmp_path: Path) -> None:
    broken = with_step(bundle, stage, NotANumber(stage))
    with pytest.raises(BundleError, match=rf"step '{stage}' .* gave a .*, on a"):
        run(stage, one_image, broken, tmp_path / "out")


class LowestFirst(BrightSpots):
    """A detector from elsewhere that lists its regions the wrong way round."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        regions = super().__call__(exam, found)
        return regions.take(np.arange(len(regions))[::-1])


@pytest.mark.parametrize("stage", ["detector", "pipeline"])
def test_the_order_of_the_regions_does_not_matter(
    *, stage: str, exams: Path, bundle: Bundle, evaluated: dict[str, Path], tmp_path: Path
) -> None:
    run(stage, exams, with_step(bundle, "detector", LowestFirst()), tmp_path / "out")
    assert rows(tmp_path / "out") == rows(evaluated[stage])


def test_an_output_that_is_a_file_is_named(one_image: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(MammoscopeError, match="taken"):
        run("detector", one_image, bundle, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_evaluation_loads_neither_torch_nor_pyplot() -> None:
    code = (
        "import mammoscope.evaluation.run, sys; print([m for m in ('torch', 'matplotlib.pyplot') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
