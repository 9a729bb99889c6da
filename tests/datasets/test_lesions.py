"""The table of a dataset: what it holds comes back, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_datasets import lesion, write

from mammoscope.datasets.importers.cbis_ddsm.published import TYPICAL_FILM_ASPECT
from mammoscope.datasets.layout import COLUMNS, load_dataset, write_table
from mammoscope.errors import DatasetError

SHARED = Path(__file__).parents[2] / "../shared/data/cbis-ddsm-mass/train"


def test_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        lesion("P_1", crop="a.png", mask="a.png", crop_flipped=True, pixel_aspect=1.7423, x=1.25, y=-3.0),
        lesion("P_2", crop_flipped=None, pixel_aspect=None, box_order_assumed=True, pathology="BENIGN", mass_shape=""),
        lesion("P_2", crop_flipped=False, pixel_aspect=1 / 3, mass_margins='A, "B"', pathology="BENIGN"),
    ]
    loaded = write(tmp_path, rows).lesions
    assert loaded[:2] == tuple(rows[:2])
    assert loaded[2].pixel_aspect == pytest.approx(1 / 3, rel=1e-9) and loaded[2].mass_margins == 'A, "B"'


def test_hash_is_of_the_table_and_stays_for_a_part(tmp_path: Path) -> None:
    dataset = write(tmp_path, [lesion("P_1"), lesion("P_2")])
    part = dataset.of_patients(["P_2", "P_9"])
    assert (part.patients, part.sha256) == (("P_2",), dataset.sha256)
    write_table(tmp_path / "lesions.csv", [lesion("P_1")])
    assert load_dataset(tmp_path).sha256 != dataset.sha256


def test_images_group_their_lesions(tmp_path: Path) -> None:
    rows = [lesion("P_1"), lesion("P_2"), lesion("P_1", abnormality_id="2", x=5)]
    images = write(tmp_path, rows).images
    assert {name: [row.abnormality_id for row in of_image] for name, of_image in images.items()} == {
        "P_1_LEFT_CC.png": ["1", "2"],
        "P_2_LEFT_CC.png": ["1"],
    }


def test_box_has_corners(tmp_path: Path) -> None:
    np.testing.assert_array_equal(lesion("P_1", x=3, y=4, width=10, height=20).box, [3, 4, 13, 24])


@pytest.mark.parametrize(
    ("pathology", "malignant"), [("MALIGNANT", True), ("BENIGN", False), ("BENIGN_WITHOUT_CALLBACK", False)]
)
def test_both_kinds_of_benign_are_one_class(pathology: str, malignant: bool) -> None:
    assert lesion("P_1", pathology=pathology).malignant is malignant


@pytest.mark.parametrize(
    ("aspects", "expected"), [([None, None], TYPICAL_FILM_ASPECT), ([1.5, None], 1.5), ([1.5, 1.9], 1.5)]
)
def test_pixel_aspect_of_a_stretched_image(tmp_path: Path, aspects: list[float | None], expected: float) -> None:
    # Edition 1, and the ids of CBIS-DDSM: such files are its films.
    rows = [lesion(f"P_{number:05}", pixel_aspect=aspect) for number, aspect in enumerate(aspects)]
    dataset = write(tmp_path, rows)
    assert dataset.pixel_aspect("P_00000_LEFT_CC.png", 800, 800) == pytest.approx(expected)
    # A film that was not stretched has square pixels.
    assert dataset.pixel_aspect("P_00000_LEFT_CC.png", 1000, round(1000 * expected)) == pytest.approx(1)


def test_an_unsquare_file_of_unknown_proportions_has_square_pixels(tmp_path: Path) -> None:
    dataset = write(tmp_path, [lesion("P_0"), lesion("P_1", pixel_aspect=1.5)])
    assert dataset.pixel_aspect("P_0_LEFT_CC.png", 3000, 4000) == 1
    assert dataset.pixel_aspect("P_1_LEFT_CC.png", 3000, 4000) == pytest.approx(1.5 * 3000 / 4000)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("patient_id", "", "'patient_id' is empty"),
        ("breast_side", "BOTH", "'breast_side' is 'BOTH', expected one of LEFT, RIGHT"),
        ("pathology", "UNKNOWN", "'pathology' is 'UNKNOWN'"),
        ("x", "left", "'x' is 'left', expected a number"),
        ("x", "nan", "'x' is 'nan'"),
        ("width", "0", "'width' is '0'"),
        ("height", "-4", "'height' is '-4'"),
        ("image", "", "'image' is '', expected a plain file name"),
        ("image", "../other.png", "expected a plain file name"),
        ("image", "gone.png", "gone.png: no such file"),
        ("crop", "gone.png", "column 'crop' names"),
        ("mask", "/etc/passwd", "expected a plain file name"),
        ("crop_flipped", "2", "'crop_flipped' is '2'"),
        ("pixel_aspect", "17", "'pixel_aspect' is '17'"),
    ],
)
def test_wrong_value_is_named_with_file_row_and_column(tmp_path: Path, column: str, value: str, problem: str) -> None:
    write(tmp_path, [lesion("P_1"), lesion("P_2")])
    table = tmp_path / "lesions.csv"
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    cells[COLUMNS.index(column)] = value
    table.write_text("\n".join([*lines[:2], ",".join(cells)]))
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path)
    assert str(caught.value).startswith(f"{table}, row 3: column {column!r}") and problem in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"", "has no column 'image'"),
        (b"image,patient_id\n", "has no column 'breast_side'"),
        (",".join(COLUMNS).encode(), "holds no lesion"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (",".join(COLUMNS).encode() + b'\n"' + b"x" * 200_000, "is not a CSV table"),
    ],
)
def test_table_that_is_none_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "lesions.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=problem):
        load_dataset(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the training data is not at ../shared/data")
def test_training_data_loads() -> None:
    dataset = load_dataset(SHARED)
    assert (len(dataset.lesions), len(dataset.images), len(dataset.patients)) == (1318, 1231, 691)
    assert dataset.name == "cbis-ddsm-mass/train"
