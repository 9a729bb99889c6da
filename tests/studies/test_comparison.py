"""What is compared with what: folds, what is not measured yet, and splits that leak."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.leakage import check_leakage
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.studies.comparison import Comparison, Line, compare
from mammoscope.studies.folders import datasets_of, make_splits, split_folder
from mammoscope.studies.measure import own_core
from mammoscope.studies.page.tables import as_csv, notes_of, tables_of
from mammoscope.studies.plan import Item, Place, plan
from mammoscope.studies.study import Study, StudyError
from synthetic_dataset import write_dataset

STEP = {"step": "average-mask"}
# Pixels in true, predicted and both masks, by patient.
FIRST = {"A": (10, 10, 5), "B": (10, 10, 8), "C": (10, 10, 2), "D": (20, 10, 10)}
SECOND = {"A": (10, 10, 9), "B": (10, 10, 9), "C": (10, 10, 9), "D": (20, 10, 10)}
FOLDS = {0: "AB", 1: "CD"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its crops have textures of their own: drawn masses of one kind are nearly the same image."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "set", patients=10)
    rng = np.random.default_rng(0)
    for path in sorted((folder / "crops").iterdir()):
        scales = [rng.normal(0, 16, (cells, cells)).astype(np.float32) for cells in (8, 16, 32, 64)]
        cloud = sum(cv2.resize(scale, (256, 256), interpolation=cv2.INTER_CUBIC) for scale in scales)
        cv2.imwrite(str(path), np.clip(120 + cloud, 20, 235).astype(np.uint8))
    return folder


def items_of(
    dataset: Path, out: Path, entries: list[dict[str, Any]], **settings: Any
) -> tuple[Study, Place, list[Item]]:
    common = {"title": "Two", "stage": "segmenter", "folds": [0, 1], "of_folds": 2, "reference": entries[0]["name"]}
    study = Study.model_validate({**common, "entries": entries, "figures": ["iou_pooled", "dice_mean"], **settings})
    place = Place(out / "two.toml", out, dataset)
    return study, place, plan(study, place, datasets_of(study, place))


def write_records(item: Item, pixels: dict[str, tuple[int, int, int]]) -> None:
    """The records of an item, as if it had been measured on the patients of its fold."""
    item.folder.mkdir(parents=True)
    (item.folder / "identity.json").write_text(json.dumps(item.identity))
    (item.folder / "report.json").write_text("{}")
    rows = []
    for patient in FOLDS[item.fold]:
        if patient not in pixels:
            continue
        true, predicted, common = pixels[patient]
        row = {"set": "crops", "image": f"{patient}.png", "patient": patient, "abnormality_id": "1", "crop": "c.png"}
        row |= {"pixels": 100, "true": true, "predicted": predicted, "common": common, "baseline": 1}
        rows.append(row | {"baseline_common": 1, "boundary_f1": 0.5})
    with (item.folder / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def compared(dataset: Path, out: Path, second: dict[str, tuple[int, int, int]], folds: tuple[int, ...]) -> Comparison:
    """Of ``one``, measured on both folds, and ``two``, measured on some."""
    study, _, items = items_of(dataset, out, [{"name": "one", **STEP}, {"name": "two", **STEP}])
    for item in items:
        if item.entry.name == "one":
            write_records(item, FIRST)
        elif item.fold in folds:
            write_records(item, second)
    return compare(study, items, Bootstrap(200))


def line_of(comparison: Comparison, name: str) -> Line:
    return next(line for line in comparison.lines if line.entry.name == name)


def test_folds_are_pooled(dataset: Path, tmp_path: Path) -> None:
    comparison = compared(dataset, tmp_path, SECOND, (0, 1))
    one, two = line_of(comparison, "one").cells["iou_pooled"], line_of(comparison, "two").cells["iou_pooled"]
    # Common over union: (5 + 8 + 2 + 10) / (15 + 12 + 18 + 20), and (9 + 9 + 9 + 10) / (11 + 11 + 11 + 20).
    assert one.value.value == pytest.approx(25 / 65) and two.value.value == pytest.approx(37 / 53)
    assert (one.patients, one.cases, one.difference, one.p) == (4, 4, None, None)
    assert two.difference and two.difference.value == pytest.approx(37 / 53 - 25 / 65)
    assert two.p == two.p_holm  # one comparison
    assert line_of(comparison, "two").pending == ()


def test_what_is_measured_on_fewer_folds_is_compared_on_these(dataset: Path, tmp_path: Path) -> None:
    two = line_of(compared(dataset, tmp_path, SECOND, (0,)), "two")
    cell = two.cells["iou_pooled"]
    assert (two.folds, cell.patients) == ((0,), 2)
    assert cell.value.value == pytest.approx(18 / 22)
    assert cell.difference and cell.difference.value == pytest.approx(18 / 22 - 13 / 27)
    assert two.pending == ("two, fold 1: not measured yet",)


def test_what_is_not_measured_has_no_figure(dataset: Path, tmp_path: Path) -> None:
    comparison = compared(dataset, tmp_path, SECOND, ())
    assert line_of(comparison, "two").cells == {}
    assert "two" not in as_csv(comparison)
    assert [table.title for table in tables_of(comparison)] == ["Figures", "Costs", "Not measured yet"]


def test_other_cases_are_an_error(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MammoscopeError, match=r"two and one were not .* the same cases: only one has .*D\.png"):
        compared(dataset, tmp_path, {name: SECOND[name] for name in "ABC"}, (0, 1))


LEAKING = [
    {"name": "by-patient", "split": "before-augmentation", **STEP},
    {"name": "after-augmentation", "split": "after-augmentation", **STEP},
]


def test_a_split_after_augmentation_leaks_and_is_caught(dataset: Path, tmp_path: Path) -> None:
    study, place, items = items_of(dataset, tmp_path, LEAKING, copies=4, folds=[0], of_folds=5)
    datasets = datasets_of(study, place)
    make_splits(study, place, datasets, items)
    leaks = {}
    for entry in study.entries:
        folder = split_folder(place, entry.split, 0)
        parts = [load_dataset(folder / name) for name in ("train", "validation")]
        leaks[entry.name] = check_leakage(parts)
        assert sum(len(part.images) for part in parts) == 40
        assert len(parts[1].images) == 8
    assert leaks["by-patient"] == () and len(leaks["after-augmentation"]) >= 8
    # The same images: only who counts as a patient differs.
    before, after = (datasets[how] for how in ("before-augmentation", "after-augmentation"))
    for image in before.images:
        assert before.image_path(image).read_bytes() == after.image_path(image).read_bytes()
    # Their cases differ, so they are not compared in pairs, and the page says which one leaks.
    for item in items:
        write_records(item, FIRST if item.entry.name == "by-patient" else SECOND)
    comparison = compare(study, items, Bootstrap(20))
    assert line_of(comparison, "after-augmentation").cells["iou_pooled"].difference is None
    assert any("this leaks" in note for note in notes_of(comparison))
    with pytest.raises(StudyError, match="holds copies of another dataset, or another number of them"):
        items_of(dataset, tmp_path, LEAKING, copies=5, folds=[0], of_folds=5)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot keep a process on a core")
def test_two_workers_are_on_two_cores(tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    with own_core(tmp_path):
        first = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        with own_core(tmp_path):
            second = os.sched_getaffinity(0)
    assert len(first) == 1 and (len(cores) == 1 or (len(second) == 1 and first != second))
    assert os.sched_getaffinity(0) == cores
