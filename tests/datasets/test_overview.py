"""What a dataset holds, counted; and what is wrong with its files."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from small_datasets import SIZE, breast, lesion, write

from mammoscope import NOTICE
from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import Dataset, load_dataset, write_table
from mammoscope.datasets.overview.describe import describe, load_splits
from mammoscope.datasets.overview.records import Overview
from mammoscope.datasets.overview.show import render_overview, write_overview
from mammoscope.datasets.splits import write_split
from mammoscope.errors import DatasetError

SHARED = Path(__file__).parents[2] / "../shared/data/cbis-ddsm-mass/train"
NEEDS_SHARED = pytest.mark.skipif(not SHARED.is_dir(), reason="the training data is not at ../shared/data")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rows = [
        lesion("P_1", width=20, height=10, crop="a.png", mask="a.png"),
        lesion("P_1", width=40, height=10, abnormality_id="2", pathology="BENIGN", mass_shape="<ROUND>"),
        lesion("P_2", width=60, height=40, pathology="BENIGN_WITHOUT_CALLBACK", mass_shape="", breast_side="RIGHT"),
    ]
    return write(tmp_path / "some" / "data", rows)


def test_counts(dataset: Dataset) -> None:
    overview = describe(dataset)
    assert (overview.images, overview.patients, overview.lesions) == (2, 2, 3)
    assert (overview.malignant, overview.benign, overview.crops, overview.masks) == (1, 2, 1, 1)
    assert overview.sides == {"LEFT": 2, "RIGHT": 1} and overview.lesions_per_image == {"1": 1, "2": 1}
    shapes = {shape: (group.malignant, group.benign) for shape, group in overview.shapes.items()}
    assert shapes == {"OVAL": (1, 0), "<ROUND>": (0, 1), "(not stated)": (0, 1)}


def test_sizes(dataset: Dataset) -> None:
    overview = describe(dataset)
    widths = overview.box_width
    assert (widths.minimum, widths.median, widths.maximum) == (20, 40, 60)
    assert overview.box_relative_width.maximum == pytest.approx(60 / SIZE)
    assert overview.box_relative_area.minimum == pytest.approx(200 / SIZE**2)
    assert overview.image_height.median == SIZE


def test_single_lesion(tmp_path: Path) -> None:
    overview = describe(write(tmp_path, [lesion("P_1")]))
    assert overview.box_width.minimum == overview.box_width.maximum == 30


def test_image_without_size_is_named(dataset: Dataset) -> None:
    dataset.image_path("P_2_LEFT_CC.png").write_bytes(b"rubbish")
    with pytest.raises(DatasetError, match=r"P_2_LEFT_CC\.png"):
        describe(dataset)


def test_terminal(dataset: Dataset) -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(render_overview(describe(dataset)))
    text = console.export_text()
    assert "3 (1 malignant, 2 benign)" in text and "<ROUND>" in text and "BI-RADS" in text


def numbers(folder: Path) -> dict[tuple[str, str, str, str], float]:
    with (folder / "overview.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    found = {(row["split"], row["distribution"], row["group"], row["measure"]): float(row["value"]) for row in rows}
    assert len(found) == len(rows), "a number stands twice in the table"
    return found


def test_files(dataset: Dataset, tmp_path: Path) -> None:
    overview = describe(dataset)
    write_overview({"some/data": overview}, tmp_path / "out")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["overview.csv", "overview.html", "overview.json"]
    stored = json.loads((tmp_path / "out/overview.json").read_text())
    assert {name: Overview.model_validate(one) for name, one in stored.items()} == {"some/data": overview}
    page = (tmp_path / "out/overview.html").read_text(encoding="utf-8")
    assert "some/data" in page and "&lt;ROUND&gt;" in page and "<ROUND>" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page), "the page must need no other file"
    assert NOTICE in page


def test_every_number_stands_in_the_table(dataset: Dataset, tmp_path: Path) -> None:
    write_overview({"all": describe(dataset)}, tmp_path / "out")
    found = numbers(tmp_path / "out")
    kinds = ("malignant", "benign", "without_callback")
    assert [found["all", "Pathology", "", kind] for kind in kinds] == [1, 2, 1]
    assert [found["all", "Shape", "(not stated)", kind] for kind in kinds] == [0, 1, 1]
    assert [found["all", "Shape", "<ROUND>", kind] for kind in kinds] == [0, 1, 0]
    assert found["all", "View", "CC", "benign"] == 2
    assert found["all", "Box width, px", "", "median"] == 40
    # Boxes of 20 x 10, 40 x 10 and 60 x 40 in an image of 200 x 200.
    place = "Box width by height, of the image"
    widths = {group for _, distribution, group, _ in found if distribution == place}
    assert widths == {
        f"width from {width}, height from {height}"
        for width, height in (("0.100", "0.050"), ("0.200", "0.050"), ("0.300", "0.200"))
    }
    for label in ("Shape", "Margins", "Density", "BI-RADS", "Subtlety", "View", place):
        both = sum(
            value for (_, name, _, kind), value in found.items() if name == label and kind in ("malignant", "benign")
        )
        assert both == 3, label


def test_splits_stand_side_by_side(tmp_path: Path) -> None:
    rows = [lesion(f"P_{n}", mass_shape="OVAL" if n else "ROUND") for n in range(5)]
    write_split(write(tmp_path / "data", rows), tmp_path / "split")
    parts = load_splits(tmp_path / "split")
    assert list(parts) == ["train", "validation"]
    write_overview({name: describe(part) for name, part in parts.items()}, tmp_path / "out")
    found = numbers(tmp_path / "out")
    assert (found["train", "counts", "", "lesions"], found["validation", "counts", "", "lesions"]) == (4, 1)
    page = (tmp_path / "out/overview.html").read_text(encoding="utf-8")
    assert page.count('colspan="5"') == 2 * 8, "eight distributions, two splits"


def test_a_dataset_is_its_only_split(dataset: Dataset, tmp_path: Path) -> None:
    assert list(load_splits(dataset.folder)) == ["some/data"]
    with pytest.raises(DatasetError, match=r"lesions\.csv"):
        load_splits(tmp_path / "absent")


def test_sound_dataset_has_no_problem(dataset: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    assert check_integrity(dataset, progress=lambda *call: calls.append(call)) == ()
    assert calls == [(1, 2), (2, 2)]


def _cut_image(dataset: Dataset) -> None:
    path = dataset.image_path("P_2_LEFT_CC.png")
    path.write_bytes(path.read_bytes()[:60])


def _cut_crop(dataset: Dataset) -> None:
    (dataset.folder / "crops/a.png").write_bytes(b"?")


def _black_image(dataset: Dataset) -> None:
    cv2.imwrite(str(dataset.image_path("P_2_LEFT_CC.png")), np.zeros((SIZE, SIZE), np.uint8))


def _mask(pixels: NDArray[np.uint8]) -> Callable[[Dataset], object]:
    return lambda dataset: cv2.imwrite(str(dataset.folder / "masks/a.png"), pixels)


SQUARE = np.zeros((64, 64), np.uint8)
SQUARE[20:40, 20:40] = 255


@pytest.mark.parametrize(
    ("damage", "place", "problem"),
    [
        (_cut_image, "row 4: column 'image'", "is cut off"),
        (_black_image, "row 4: column 'image'", "is empty, all pixels are equal"),
        (_mask(np.zeros((64, 64), np.uint8)), "row 2: column 'mask'", "is empty"),
        (_mask(SQUARE[:50]), "row 2: column 'mask'", "has 64 x 50 pixels, its crop 64 x 64"),
        (_mask(breast(5, 64)), "row 2: column 'mask'", "is grey, not black and white"),
        (_mask(np.dstack([SQUARE] * 3)), "row 2: column 'mask'", "expected one grey channel"),
        (_cut_crop, "row 2: column 'crop'", "is not a PNG, JPEG, TIFF or PGM file"),
    ],
)
def test_damaged_file_is_named(dataset: Dataset, damage: Callable[[Dataset], object], place: str, problem: str) -> None:
    damage(dataset)
    (found,) = check_integrity(dataset)
    assert found.startswith(f"{dataset.folder / 'lesions.csv'}, {place}") and problem in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("changes", "place", "problem"),
    [
        ({"x": 190}, "row 4: column 'x'", "reaches from 190 to 220, but P_1_LEFT_CC.png has a width of 200"),
        ({"y": -9}, "row 4: column 'y'", "reaches from -9 to 11"),
        ({"x": 169.9, "y": 180.5}, None, ""),
        ({"abnormality_id": "1"}, "row 4: column 'abnormality_id'", "is '1', as in row 2"),
        ({"x": 10}, "row 4: column 'x'", "the box is the same as in row 2"),
        ({"patient_id": "P_7"}, "row 4: column 'patient_id'", "is 'P_7', but 'P_1' in row 2 of the same image"),
        ({"breast_side": "RIGHT"}, "row 4: column 'breast_side'", "is 'RIGHT', but 'LEFT' in row 2"),
    ],
)
def test_row_that_cannot_be_is_named(
    tmp_path: Path, changes: dict[str, object], place: str | None, problem: str
) -> None:
    rows = [
        lesion("P_1", x=10),
        lesion("P_2"),
        lesion("P_1", **{"abnormality_id": "2", "image": "P_1_LEFT_CC.png", **changes}),
    ]
    found = check_integrity(write(tmp_path, rows))
    if place is None:
        assert found == ()
    else:
        assert len(found) == 1 and found[0].startswith(f"{tmp_path / 'lesions.csv'}, {place}") and problem in found[0]


def test_repeated_row_is_reported_once(tmp_path: Path) -> None:
    dataset = write(tmp_path, [lesion("P_1"), lesion("P_2")])
    write_table(tmp_path / "lesions.csv", [*dataset.lesions, dataset.lesions[1]])
    (found,) = check_integrity(load_dataset(tmp_path))
    assert "row 4: column 'abnormality_id' is '1', as in row 3" in found


@NEEDS_SHARED
def test_training_data_is_described() -> None:
    overview = describe(load_dataset(SHARED))
    assert (overview.images, overview.patients, overview.malignant, overview.crops) == (1231, 691, 637, 844)


@NEEDS_SHARED
def test_training_data_is_sound() -> None:
    dataset = load_dataset(SHARED)
    assert check_integrity(dataset.of_patients(dataset.patients[:80])) == ()
