"""Folders of edition 2: images without a lesion, unknown pathology, kinds, boxes and masks alone, and dataset.json."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from small_datasets import SIZE, breast, lesion, write

from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.importers.cbis_ddsm.published import TYPICAL_FILM_ASPECT, published_folds, published_info
from mammoscope.datasets.info import DatasetInfo, read_info, write_info
from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import COLUMNS, Dataset, ImageRow, load_dataset, write_layout
from mammoscope.datasets.leakage import check_leakage
from mammoscope.datasets.overview.describe import describe
from mammoscope.datasets.overview.show import render_overview, write_overview
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.datasets.splits import patient_folds, split_patients, write_split
from mammoscope.errors import DatasetError
from mammoscope.stages.preprocess import PreprocessSettings, preprocess
from mammoscope.stages.roi import cut_roi

IMAGES = "image,patient_id,breast_side,view,normal"
LESIONS = "image,x,y,width,height,pathology,kind,crop,mask"
NORMALS = Path(__file__).parents[2] / "../shared/data/ddsm-normals"


def folder_of(folder: Path, images: str | None, lesions: str | None, info: object = None) -> Path:
    """A folder with these tables, and a breast for each image of ``a.png`` to ``f.png``."""
    for name in ("images", "masks", "crops"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate("abcdef"):
        cv2.imwrite(str(folder / f"images/{name}.png"), breast(seed))
    whole = np.zeros((SIZE, SIZE), np.uint8)
    whole[60:90, 40:80] = 255
    cv2.imwrite(str(folder / "masks/whole.png"), whole)
    cv2.imwrite(str(folder / "masks/black.png"), np.zeros((SIZE, SIZE), np.uint8))
    cv2.imwrite(str(folder / "masks/small.png"), whole[50:100, 20:90])
    for name, text in (("images.csv", images), ("lesions.csv", lesions)):
        if text is not None:
            (folder / name).write_text(text + "\n")
    if info is not None:
        (folder / "dataset.json").write_text(info if isinstance(info, str) else json.dumps(info))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = [
        IMAGES, "a.png,w1,LEFT,CC,0", "b.png,w1,RIGHT,CC,1", "c.png,w2,LEFT,MLO,", "d.png,w3,,,", "e.png,w4,LEFT,CC,0",
        "f.png,w4,LEFT,MLO,0",
    ]  # fmt: skip
    lesions = [
        LESIONS, "a.png,10,20,30,40,MALIGNANT,,,", "a.png,,,,,UNKNOWN,calcification,,whole.png",
        "d.png,5,6,70,80,,asymmetry,,", "f.png,5,6,70,80,BENIGN,mass,,",
    ]  # fmt: skip
    info = {"layout": 2, "name": "Six Breasts", "licence": "CC0", "credit": "Drawn by a test", "citation": "None"}
    return folder_of(tmp_path / "six" / "all", "\n".join(images), "\n".join(lesions), info)


def test_images_without_a_lesion_are_images(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert {name: len(lesions) for name, lesions in dataset.images.items()} == {
        "a.png": 2, "b.png": 0, "c.png": 0, "d.png": 1, "e.png": 0, "f.png": 1,
    }  # fmt: skip
    # e.png shows a lesion that is not listed: no one may count a mark on it as false.
    assert dataset.normals == ("b.png", "c.png")
    assert dataset.patients == ("w1", "w2", "w3", "w4") and dataset.patient_of("c.png") == "w2"
    assert dataset.image_row("b.png") == ImageRow("b.png", "w1", "RIGHT", "CC", normal=True)
    assert dataset.of_patients(["w2"]).normals == ("c.png",)
    assert dataset.boxes_of("a.png").tolist() == [[10, 20, 40, 60], [40, 60, 80, 90]]
    assert dataset.boxes_of("b.png").shape == (0, 4)


def test_lesions_take_from_their_image_what_they_leave_out(folder: Path) -> None:
    first, second, third, _ = load_dataset(folder).lesions
    assert (first.patient_id, first.breast_side, first.view, first.abnormality_id) == ("w1", "LEFT", "CC", "1")
    assert (second.abnormality_id, third.abnormality_id, third.breast_side) == ("2", "1", "")


def test_unknown_pathology_is_neither_class(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert [one.malignant for one in dataset.lesions] == [True, None, None, False]
    assert [one.pathology for one in dataset.graded_lesions] == ["MALIGNANT", "BENIGN"]
    assert lesion("P", pathology="").malignant is None


def test_mask_without_a_box_tells_the_box(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert dataset.lesions[1].box.tolist() == [40, 60, 80, 90]
    assert check_integrity(dataset) == ()


def test_mask_of_a_whole_image_lies_where_it_was_drawn(folder: Path) -> None:
    dataset = load_dataset(folder)
    first, second = dataset.lesions[:2]
    assert not placed(first) and placed(second)
    prepared = preprocess(dataset_mammogram(dataset, "a.png"), PreprocessSettings())
    assert prepared is not None
    box = prepared.from_original.boxes(second.box[None])[0]
    mask, whole = mask_in_cut(dataset, second, prepared, cut_roi(prepared.pixels, box, prepared.pixel_aspect))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert np.ptp(columns) / 256 == pytest.approx(0.9, abs=0.03) and np.ptp(columns) > np.ptp(rows)
    assert mask.sum() == pytest.approx(whole, rel=0.02)


def test_kinds_can_be_chosen(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert [one.kind for one in dataset.lesions] == ["mass", "calcification", "asymmetry", "mass"]
    masses = dataset.of_kinds(["mass"])
    assert [one.kind for one in masses.lesions] == ["mass", "mass"] and list(masses.images) == list(dataset.images)
    assert masses.normals == ("b.png", "c.png"), "d.png shows an asymmetry"


def test_a_choice_of_kinds_keeps_edition_and_published_folds(tmp_path: Path) -> None:
    rows = [lesion(patient, kind="calcification" if patient == "P_00001" else "mass") for patient in published_folds()]
    dataset = Dataset(tmp_path, tuple(rows), "")
    masses = dataset.of_kinds(["mass"])
    assert masses.edition == 1 and len(masses.lesions) == len(rows) - 1
    assert patient_folds(masses) == {patient: fold for patient, (_, fold) in published_folds().items()}


def test_what_is_written_comes_back(folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(folder)
    write_layout(dataset)
    again = load_dataset(folder)
    assert (again.lesions, again.listed, again.stated) == (dataset.lesions, dataset.listed, dataset.stated)
    rows = (ImageRow("a.png", "w1", pixel_spacing_mm=(0.07, 0.05), pixel_aspect=1.5, breast_density="3", exam="2"),)
    write_layout(Dataset(folder, (), "", rows, DatasetInfo(name="x")))
    assert load_dataset(folder).listed == rows


def test_hash_is_of_all_three_and_that_of_edition_1_of_its_table(folder: Path, tmp_path: Path) -> None:
    hashes = [load_dataset(folder).sha256]
    for name, old, new in (("images.csv", "MLO", "ML"), ("lesions.csv", "70", "71"), ("dataset.json", "CC0", "CC1")):
        (folder / name).write_text((folder / name).read_text().replace(old, new))
        hashes.append(load_dataset(folder).sha256)
    assert len(set(hashes)) == 4
    first = write(tmp_path / "first", [lesion("P_1")])
    assert (first.edition, load_dataset(folder).edition) == (1, 2)
    (tmp_path / "first/dataset.json").write_text('{"layout": 2}')
    second = load_dataset(tmp_path / "first")
    assert second.lesions == first.lesions and second.images == first.images and second.sha256 != first.sha256


def test_normals_need_no_table_of_lesions(tmp_path: Path) -> None:
    dataset = load_dataset(folder_of(tmp_path, "image,patient_id,breast_side\na.png,w1,LEFT\nb.png,w2,", None))
    assert dataset.normals == ("a.png", "b.png") and dataset.lesions == ()
    assert check_integrity(dataset) == ()
    overview = describe(dataset)
    assert (overview.normals, overview.lesions, overview.box_width) == (2, 0, None)
    write_overview({"normals": overview}, tmp_path / "out")
    assert "Images without a lesion" in (tmp_path / "out/overview.html").read_text()


@pytest.mark.parametrize(
    ("spacing", "aspect", "size", "expected"),
    [
        ("0.1", "", (100, 300), 1),
        ("0.05 0.1", "", (100, 100), 0.5),
        ("", "1.5", (100, 100), 1.5),
        ("", "", (100, 100), 1),
        ("", "", (100, 174), 1),
    ],
)
def test_pixel_aspect_is_what_the_table_says(
    tmp_path: Path, spacing: str, aspect: str, size: tuple[int, int], expected: float
) -> None:
    images = f"image,patient_id,breast_side,pixel_spacing_mm,pixel_aspect\na.png,w,LEFT,{spacing},{aspect}"
    dataset = load_dataset(folder_of(tmp_path, images, None))
    assert dataset.pixel_aspect("a.png", *size) == pytest.approx(expected)


def test_square_files_are_stretched_films_only_where_the_dataset_says_so(tmp_path: Path) -> None:
    table = "image,patient_id,breast_side\na.png,P_00001,LEFT"
    plain = load_dataset(folder_of(tmp_path / "plain", table, None))
    stretched = load_dataset(folder_of(tmp_path / "films", table, None, {"layout": 2, "assumed_film_aspect": 1.6}))
    collection = write(tmp_path / "collection", [lesion("P_00001")])  # edition 1, with the ids of CBIS-DDSM
    other = write(tmp_path / "other", [lesion("w1")])
    datasets = (plain, stretched, collection, other)
    aspects = [dataset.pixel_aspect(next(iter(dataset.images)), 8, 8) for dataset in datasets]
    assert aspects == [1, 1.6, TYPICAL_FILM_ASPECT, 1]


@pytest.mark.parametrize(
    ("images", "lesions", "info", "problem"),
    [
        ("image,patient_id\na.png,w", None, None, "images.csv: has no column 'breast_side'; it has image, patient_id"),
        (f"{IMAGES}\na.png,,LEFT,CC,", None, None, "images.csv, row 2: column 'patient_id' is empty"),
        (f"{IMAGES}\na.png,w,BOTH,CC,", None, None, "row 2: column 'breast_side' is 'BOTH', expected one of LEFT"),
        (
            f"{IMAGES}\na.png,w,LEFT,CC,yes",
            None,
            None,
            "row 2: column 'normal' is 'yes', expected one of (empty), 0, 1",
        ),
        (f"{IMAGES}\nx.png,w,LEFT,CC,", None, None, "images.csv, row 2: column 'image' names"),
        (f"{IMAGES}\n../a.png,w,LEFT,CC,", None, None, "column 'image' is '../a.png', expected a plain file name"),
        (
            f"{IMAGES}\na.png,w,LEFT,CC,\na.png,w,LEFT,CC,",
            None,
            None,
            "row 3: column 'image' is 'a.png', expected an im",
        ),
        (IMAGES, LESIONS, None, "images.csv: holds no image"),
        (
            f"{IMAGES},pixel_spacing\na.png,w,LEFT,CC,,0.1",
            None,
            None,
            "has a column 'pixel_spacing', which is not read; did you mean 'pixel_spacing_mm'?",
        ),
        (
            f"{IMAGES},pixel_spacing_mm\na.png,w,LEFT,CC,,0.1 0.2 0.3",
            None,
            None,
            "row 2: column 'pixel_spacing_mm' is '0.1 0.2 0.3', expected millimetres from 0.001 to 10",
        ),
        (
            f"{IMAGES},pixel_aspect\na.png,w,LEFT,CC,,17",
            None,
            None,
            "row 2: column 'pixel_aspect' is '17', expected a number from 0.2 to 5",
        ),
        (
            "A",
            "b.png,1,1,9,9,,,,",
            None,
            "lesions.csv, row 2: column 'image' is 'b.png', expected an image that images",
        ),
        ("A", "a.png,1,1,9,9,BAD,,,", None, "column 'pathology' is 'BAD', expected one of MALIGNANT"),
        ("A", "a.png,1,1,9,9,,lump,,", None, "column 'kind' is 'lump', expected one of mass"),
        ("A", "a.png,1,,9,9,,,,", None, "column 'y' is '', expected a number from -100"),
        ("A", "a.png,,,,,,,,", None, "column 'x' is '', expected a number, or a mask from which to take the box"),
        ("A", "a.png,,,,,,,,gone.png", None, "lesions.csv, row 2: column 'mask': "),
        ("A", "a.png,,,,,,,,small.png", None, "of the image's 200 x 200 pixels, as there is no box; it has 70 x 50"),
        ("A", "a.png,,,,,,,,black.png", None, "column 'mask' is 'black.png', expected a mask with a lesion in it"),
        ("A", "a.png,1,1,9,9,,,gone.png,", None, "row 2: column 'crop' names"),
        (
            f"{IMAGES}\na.png,w,LEFT,CC,1",
            "a.png,1,1,9,9,,,,",
            None,
            "column 'image' is 'a.png', expected an image with lesions, but images.csv says that it is normal",
        ),
        (None, None, {"layout": 2}, "lesions.csv: cannot be read"),
        ("A", None, "{", "dataset.json: is not JSON"),
        ("A", None, {"layout": 3}, "dataset.json: 'layout' is 3: "),
        ("A", None, {"licence": 5}, "dataset.json: 'licence' is 5: "),
        ("A", None, {"license": "CC0"}, "dataset.json: 'license' is not a key of the layout; it knows layout, name"),
        ("A", None, {"folds": "folds.csv"}, "folds.csv: cannot be read"),
        ("A", None, {"folds": "../folds.csv"}, "dataset.json: 'folds' is '../folds.csv', expected a plain file name"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, images: str | None, lesions: str | None, info: object, problem: str
) -> None:
    images = f"{IMAGES}\na.png,w,LEFT,CC," if images == "A" else images
    lesions = lesions if lesions is None or lesions == LESIONS else f"{LESIONS}\n{lesions}"
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder_of(tmp_path, images, lesions, info))
    assert problem in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("column", "value", "expected"), [("patient_id", "w9", "'w'"), ("breast_side", "RIGHT", "'LEFT'")]
)
def test_row_that_contradicts_its_image_is_named(tmp_path: Path, column: str, value: str, expected: str) -> None:
    lesions = f"image,{column},x,y,width,height\na.png,{value},1,1,9,9"
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder_of(tmp_path, f"{IMAGES}\na.png,w,LEFT,CC,", lesions))
    assert f"row 2: column {column!r} is {value!r}, expected {expected}, as images.csv says of a.png" in str(
        caught.value
    )


def test_check_finds_faults_of_images_without_a_lesion(folder: Path) -> None:
    table = "image,patient_id,breast_side,pixel_spacing_mm,pixel_aspect"
    rows = ["a.png,w1,LEFT,0.1,1", "b.png,w2,LEFT,0.1,1.5", "c.png,w3,LEFT,,", "d.png,w4,LEFT,,"]
    (folder / "images.csv").write_text("\n".join([table, *rows]) + "\n")
    lesions = ["a.png,0,0,9,9,,,,whole.png", "a.png,9,9,9,9,,,,small.png"]
    (folder / "lesions.csv").write_text("\n".join([LESIONS, *lesions]) + "\n")
    cv2.imwrite(str(folder / "images/c.png"), np.full((9, 9), 7, np.uint8))
    dataset = load_dataset(folder)
    (folder / "images/d.png").write_bytes(b"?")
    assert [problem.removeprefix(f"{folder}/") for problem in check_integrity(dataset)] == [
        "images.csv, row 3: column 'pixel_aspect' is 1.5, but by its pixel spacing the image has 1",
        f"images.csv, row 4: column 'image': {folder / 'images/c.png'} is empty, all pixels are equal",
        f"images.csv, row 5: column 'image': {folder / 'images/d.png'}: is not a PNG, JPEG, TIFF or PGM file",
        "lesions.csv, row 2: column 'mask': nothing of whole.png lies in the lesion's box",
        "lesions.csv, row 3: column 'mask': small.png has 70 x 50 pixels; without a crop it must have the image's "
        "200 x 200",
    ]


def test_leakage_counts_patients_and_images_without_a_lesion(tmp_path: Path) -> None:
    first = load_dataset(folder_of(tmp_path / "one", f"{IMAGES}\na.png,w1,LEFT,CC,\nb.png,w2,LEFT,CC,1", None))
    second = load_dataset(folder_of(tmp_path / "two", f"{IMAGES}\nb.png,w3,LEFT,CC,1\nc.png,w2,LEFT,CC,1", None))
    leaks = check_leakage([first, second])
    assert [(leak.kind, leak.first.split(": ")[1], leak.second.split(": ")[1]) for leak in leaks] == [
        ("patient", "w2", "w2"),
        ("pixels", "b.png", "b.png"),
    ]


def test_overview_counts_normals_kinds_and_unknown(folder: Path, tmp_path: Path) -> None:
    overview = describe(load_dataset(folder))
    assert (overview.images, overview.patients, overview.normals, overview.unlisted) == (6, 4, 2, 1)
    assert (overview.malignant, overview.benign, overview.unknown) == (1, 1, 2)
    assert overview.kinds == {"mass": 2, "calcification": 1, "asymmetry": 1}
    assert overview.lesions_per_image == {"0": 3, "1": 2, "2": 1}
    console = Console(width=90, record=True, file=StringIO())
    console.print(render_overview(overview))
    text = console.export_text()
    assert "4 (1 malignant, 1 benign, 2 unknown)" in text and "2, and 1 with one that is not listed" in text
    write_overview({"six": overview}, tmp_path / "out")
    with (tmp_path / "out/overview.csv").open(newline="") as stream:
        rows = {(row["distribution"], row["group"], row["measure"]): row["value"] for row in csv.DictReader(stream)}
    assert (rows["counts", "", "normals"], rows["Pathology", "", "unknown"]) == ("2", "2")
    assert rows["Kinds", "calcification", "lesions"] == "1"
    assert "unknown" in (tmp_path / "out/overview.html").read_text()


def test_split_is_by_patient_over_images(folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(folder)
    folders = write_split(dataset, tmp_path / "split", folds=2)
    parts = [load_dataset(one) for one in folders]
    assert sorted(patient for part in parts for patient in part.patients) == ["w1", "w2", "w3", "w4"]
    assert sorted(image for part in parts for image in part.images) == list(dataset.images)
    for part, whole in zip(parts, split_patients(dataset, folds=2), strict=True):
        assert (part.lesions, part.listed, part.info) == (whole.lesions, whole.listed, dataset.info)
        assert part.normals == whole.normals and check_integrity(part) == ()


def test_folds_are_even_in_patients_without_a_lesion() -> None:
    rows = tuple(ImageRow(f"{number}.png", f"w{number}") for number in range(30))
    lesions = tuple(lesion(f"w{number}", f"{number}.png") for number in range(10))
    folds = patient_folds(Dataset(Path("none"), lesions, "", rows, DatasetInfo()))
    for some in (range(10), range(10, 30)):
        counts = [sum(folds[f"w{number}"] == fold for number in some) for fold in range(5)]
        assert counts == [len(some) // 5] * 5


def test_published_folds_of_a_dataset_are_kept(tmp_path: Path) -> None:
    images = "\n".join([IMAGES, *(f"{name}.png,w{name},LEFT,CC," for name in "abcd")])
    folder = folder_of(tmp_path / "data", images, None)
    (folder / "mine.csv").write_text("patient_id,fold\nwa,0\nwb,0\nwc,0\nwd,1\nwz,1\n")
    (folder / "dataset.json").write_text('{"folds": "mine.csv"}')
    dataset = load_dataset(folder)
    assert patient_folds(dataset, folds=2) == {"wa": 0, "wb": 0, "wc": 0, "wd": 1}
    assert sorted(patient_folds(dataset, folds=2, seed=1).values()) == [0, 0, 1, 1]
    assert sorted(patient_folds(dataset, folds=4).values()) == [0, 1, 2, 3]
    train, _ = write_split(dataset, tmp_path / "split", folds=2, fold=1)
    assert load_dataset(train).info.folds == "mine.csv" and (train / "mine.csv").is_file()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("patient_id\nwa", "has no column 'fold'"),
        ("patient_id,fold\nwa,first", "row 2: column 'fold' is 'first', expected a whole number from 0"),
        ("patient_id,fold\nwa,0\nwa,1", "row 3: column 'patient_id' is 'wa', expected an id that is in no row above"),
    ],
)
def test_folds_that_cannot_be_used_are_named(tmp_path: Path, table: str, problem: str) -> None:
    folder = folder_of(tmp_path, f"{IMAGES}\na.png,wa,LEFT,CC,", None, {"folds": "folds.csv"})
    (folder / "folds.csv").write_text(table)
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert str(caught.value).startswith(str(folder / "folds.csv")) and problem in str(caught.value)


def test_edition_1_is_known_by_its_patients(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours", [lesion("P_00001"), lesion("P_00038")])
    other = write(tmp_path / "other", [lesion("P_00001"), lesion("someone")])
    assert ours.credit == published_info().credit and "10.7937/K9/TCIA.2016.7O02S9CY" in ours.credit
    assert ours.info.published("segmenter") == {
        "split": "official CBIS-DDSM mass test split (361 mammograms, 378 lesions)",
        "note": "Published figures on the official test split, given for comparison; they were not measured on this "
        "dataset.",
        "model": "U-Net + ViT",
        "figures": {"iou_pooled": 0.811, "pixel_auc": 0.95},
    }
    assert other.credit == "" and other.info.published("segmenter") is None
    for dataset in (ours, other):
        assert dataset.info.size_edges == (0.065, 0.09) and dataset.info.shapes[0] == "IRREGULAR"


def test_info_comes_back(tmp_path: Path) -> None:
    write_info(tmp_path / "dataset.json", published_info())
    assert read_info(tmp_path / "dataset.json") == published_info()
    write_info(tmp_path / "dataset.json", DatasetInfo())
    assert json.loads((tmp_path / "dataset.json").read_text()) == {"layout": 2}


def test_edition_1_stays_strict(tmp_path: Path) -> None:
    write(tmp_path, [lesion("P_1")])
    table = tmp_path / "lesions.csv"
    table.write_text(table.read_text().replace("MALIGNANT", "UNKNOWN"))
    with pytest.raises(DatasetError, match="column 'pathology' is 'UNKNOWN'"):
        load_dataset(tmp_path)
    assert table.read_text().splitlines()[0] == ",".join(COLUMNS)


@pytest.mark.skipif(not NORMALS.is_dir(), reason="the normal mammograms are not at ../shared/data")
def test_normal_mammograms_load_as_they_are() -> None:
    dataset = load_dataset(NORMALS)
    assert (len(dataset.images), len(dataset.normals), len(dataset.patients)) == (66, 66, 66)
    assert check_integrity(dataset.of_patients(dataset.patients[:5])) == ()
