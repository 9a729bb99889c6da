"""The importers of published collections, each on a tiny download in the layout that is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cbis_download import Download, ellipse, film
from published_trees import (
    MASS,
    ROWS,
    TREES,
    cbis_jpeg,
    coco,
    csv_table,
    ddsm,
    inbreast,
    kau_bcmd,
    mias,
    picture,
    rois,
    square,
    vindr_mammo,
)

from mammoscope.datasets.croissant import CONFORMS_TO
from mammoscope.datasets.images import dataset_mammogram, read_image
from mammoscope.datasets.importers.find import find_importer, importer_names
from mammoscope.datasets.importers.importer import UnusableError
from mammoscope.datasets.importers.outlines import ChainCode, Polygons, RunLengths, unpacked_counts
from mammoscope.datasets.importers.report import ImportReport
from mammoscope.datasets.importers.run import run_import
from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.overview.describe import describe, load_splits
from mammoscope.datasets.splits import patient_folds
from mammoscope.errors import DatasetError
from mammoscope.execution.threads import Threads

Imported = tuple[Path, ImportReport]
NEEDED = ("@context", "@type", "conformsTo", "name", "description", "distribution", "recordSet")


def imported(name: str, source: Path, out: Path) -> ImportReport:
    """In this process, which starts no other: that takes a second."""
    return run_import(find_importer(name), source, out, backend=Threads(1))


@pytest.fixture(scope="module")
def outs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Imported]:
    root = tmp_path_factory.mktemp("published")
    made = {}
    for name, tree in TREES.items():
        made[name] = root / name / "out", imported(name, tree(root / name / "source"), root / name / "out")
    return made


def rows(dataset: Dataset) -> list[tuple[Any, ...]]:
    """Image, id, kind, pathology, BI-RADS and box of each lesion, and whether it has a mask."""
    return [
        (one.image.partition(".")[0], one.abnormality_id, one.kind, one.pathology, one.assessment,
         (one.x, one.y, one.width, one.height), bool(one.mask))
        for one in dataset.lesions
    ]  # fmt: skip


SECOND = (100, 20, 20, 10)
LESIONS: dict[str, list[tuple[Any, ...]]] = {
    "inbreast": [
        ("20586908", "1", "mass", "UNKNOWN", "4a", MASS, True),
        ("20586908", "2", "calcification", "UNKNOWN", "4a", SECOND, True),
    ],
    "mini-mias": [  # y of the table is from below, in images of 200 rows
        ("mdb001", "1", "mass", "BENIGN", "", (35, 60, 40, 40), False),
        ("mdb004", "1", "mass", "MALIGNANT", "", (85, 125, 30, 30), False),
        ("mdb004", "2", "asymmetry", "BENIGN", "", (50, 40, 20, 20), False),
    ],
    "vindr-mammo": [
        ("a", "1", "mass", "UNKNOWN", "4", MASS, False),
        ("a", "2", "calcification", "UNKNOWN", "3", SECOND, False),
    ],
    "cmmd": [],
    "dmid": [("IMG001", "1", "mass", "MALIGNANT", "", MASS, True)],
    "kau-bcmd": [],
    "ddsm": [
        ("B_3077_1_LEFT_CC", "1", "calcification", "MALIGNANT", "4", MASS, True),
        ("B_3077_1_RIGHT_CC", "1", "mass", "UNKNOWN", "3", (20, 30, 15, 25), True),  # of half the size
    ],
    "coco": [
        ("w1_cc", "1", "mass", "MALIGNANT", "", MASS, True),
        ("w1_cc", "2", "calcification", "UNKNOWN", "", SECOND, False),
        ("w1_mlo", "3", "mass", "MALIGNANT", "", MASS, True),
    ],
    "csv-table": [
        ("a", "1", "mass", "MALIGNANT", "", MASS, False),
        ("a", "2", "calcification", "UNKNOWN", "", SECOND, False),
        ("c", "1", "mass", "BENIGN", "", (10, 10, 20, 20), False),
    ],
}
NORMALS = {
    "inbreast": ["20586934.png"],
    "mini-mias": ["mdb002.png"],
    "vindr-mammo": ["b.png", "d.png"],
    "cmmd": [],
    "dmid": ["IMG002.png"],
    "kau-bcmd": ["2018_BC005421_CC_R.png"],
    "ddsm": ["B_3077_1_LEFT_MLO.png"],
    "coco": ["w2_cc.png"],
    "csv-table": ["b.png"],
}
UNJUDGED = {  # images with a finding whose place is not known, so that nothing on them can be called false
    "inbreast": ["20586960.png"],
    "mini-mias": ["mdb003.png"],
    "vindr-mammo": ["c.png"],
    "cmmd": [f"D1-0001_{view}.png" for view in ("RIGHT_CC", "RIGHT_MLO", "LEFT_CC")] + ["D2-0002_LEFT_CC.png"],
    "dmid": ["IMG003.png", "IMG004.png"],
    "kau-bcmd": ["2019_BC7_CC_L.png", "2018_BC005422_MLO_L.png"],
    "ddsm": [],
    "coco": [],
    "csv-table": [],
}


@pytest.mark.parametrize("name", TREES)
def test_lesions_normals_and_what_is_known_of_the_dataset(outs: dict[str, Imported], name: str) -> None:
    out, report = outs[name]
    parts = sorted(load_splits(out).values(), key=lambda part: part.folder.name, reverse=True)  # train, test
    assert [row for part in parts for row in rows(part)] == LESIONS[name]
    assert [image for part in parts for image in part.normals] == NORMALS[name]
    bare = [image for part in parts for image in part.images if image not in part.judged_images]
    assert bare == UNJUDGED[name]
    assert sum(counts.lesions for counts in report.splits.values()) == len(LESIONS[name])
    for part in parts:
        assert check_integrity(part) == ()
        assert part.info.name and part.info.made == f"mammoscope data import {name}"


@pytest.mark.parametrize("name", importer_names())
def test_every_importer_says_whose_the_data_are_and_where_to_get_them(name: str) -> None:
    importer = find_importer(name)
    assert importer.name == name
    if name not in ("coco", "csv-table", "invented"):  # of which the file, or nobody, says it
        assert importer.licence and importer.credit and len(importer.citation) > 60
        assert getattr(importer, "url", "").startswith("http") and "\n" not in importer.credit


def test_what_collections_say_of_views(outs: dict[str, Imported]) -> None:
    def facts(name: str, image: str, folder: str = "") -> tuple[Any, ...]:
        row = load_dataset(outs[name][0] / folder).image_row(f"{image}.png")
        told = (row.patient_id, row.breast_side, row.view, row.breast_density, row.pathology, row.assessment)
        return (*told, row.pixel_spacing_mm)

    spacing = (0.07, 0.07)
    assert facts("inbreast", "20586934") == ("6c613a14b80a8591", "LEFT", "MLO", "3", "", "1", spacing)
    assert facts("mini-mias", "mdb003") == ("mias002", "RIGHT", "MLO", "", "MALIGNANT", "", (0.2, 0.2))
    assert facts("vindr-mammo", "c", "test") == ("s2", "LEFT", "MLO", "2", "", "3", None)
    assert facts("cmmd", "D1-0001_RIGHT_MLO") == ("D1-0001", "RIGHT", "MLO", "", "BENIGN", "", spacing)
    assert facts("cmmd", "D1-0001_LEFT_CC") == ("D1-0001", "LEFT", "CC", "", "", "", spacing)
    assert facts("dmid", "IMG003") == ("IMG003", "LEFT", "MLO", "", "BENIGN", "", None)
    assert facts("kau-bcmd", "2018_BC005421_CC_R") == ("2018_BC005421", "RIGHT", "CC", "2", "", "1", None)
    assert facts("kau-bcmd", "2018_BC005422_MLO_L") == ("2018_BC005422", "LEFT", "MLO", "", "", "5", None)
    assert facts("ddsm", "B_3077_1_LEFT_CC") == ("B_3077_1", "LEFT", "CC", "3", "", "", (0.05, 0.05))
    assert facts("ddsm", "B_3077_1_RIGHT_CC")[-1] is None  # reduced, by how much is not stated
    assert facts("coco", "w1_cc") == ("w1", "LEFT", "CC", "", "", "", None)


def test_what_is_left_out_is_said(outs: dict[str, Imported]) -> None:
    left_out = {name: [": ".join(one) for one in report.skipped] for name, (_, report) in outs.items()}
    assert left_out == {
        "inbreast": ["20586908: an outline named 'Unnamed' is of no kind that is known"],
        "mini-mias": [
            "mdb005: is not in the list",
            "mdb003: an abnormality without a place: it is spread over the image",
        ],
        "vindr-mammo": [],
        "cmmd": [],
        "dmid": ["IMG009: its file is missing in 'TIFF Images'", "IMG005: is not in Metadata.xlsx"],
        "kau-bcmd": [
            "what is this.jpg: is not named as KAU-BCMD names its files: 2018_BC005421_CC_R",
            "2018_BC005422_MLO_L: is in the folders of BI-RADS 4 and 5",
        ],
        "ddsm": [
            "B_3077_1.LEFT_CC: abnormality 2 is OTHER, which is no kind",
            "B_3077_1.RIGHT_MLO: B_3077_1.RIGHT_MLO.LJPEG is not read: convert it to PNG, PGM or TIFF beside it",
        ],
        "coco": [],
        "csv-table": [],
    }
    assert outs["ddsm"][1].resized_masks == (("B_3077_1_RIGHT_CC_1", "160 x 200 to 80 x 100"),)
    assert outs["vindr-mammo"][1].remarks == {"images_with_other_findings": ("c",)}
    assert outs["inbreast"][1].remarks == {"images_with_single_calcifications": ("20586908", "20586960")}


@pytest.mark.parametrize(
    ("name", "image", "seed"),
    [("coco", "w1_mlo", 1), ("cmmd", "D2-0002_LEFT_CC", 3), ("csv-table", "b", 1), ("dmid", "IMG002", 2)],
)  # PNG of 16 bits, DICOM with a window over all its bits, PGM, TIFF with colours that are grey
def test_pixels_arrive(outs: dict[str, Imported], name: str, image: str, seed: int) -> None:
    shown = read_image(outs[name][0] / f"images/{image}.png")
    assert shown.max() > 30000, "over the full range, of which this film uses a half at least"
    assert np.corrcoef(shown.ravel(), film(seed, *shown.shape).ravel())[0, 1] > 0.999


def test_square_images_are_stretched_films_only_where_the_dataset_says_so(outs: dict[str, Imported]) -> None:
    dataset = load_dataset(outs["mini-mias"][0])
    assert dataset_mammogram(dataset, "mdb001.png").pixels.shape == (ROWS, ROWS)
    assert dataset_mammogram(dataset, "mdb001.png").pixel_aspect == 1


@pytest.mark.parametrize("name", TREES)
def test_croissant_has_what_the_specification_requires(outs: dict[str, Imported], name: str) -> None:
    for part in load_splits(outs[name][0]).values():
        metadata = json.loads((part.folder / "croissant.json").read_text(encoding="utf-8"))
        assert all(metadata.get(key) for key in NEEDED)
        assert (metadata["@type"], metadata["conformsTo"]) == ("sc:Dataset", CONFORMS_TO)
        resources = {one["@id"]: one for one in metadata["distribution"]}
        for one in resources.values():
            assert one["@type"] in ("cr:FileObject", "cr:FileSet") and one["encodingFormat"]
            if one["@type"] == "cr:FileObject":
                assert (part.folder / one["contentUrl"]).is_file() and len(one["sha256"]) == 64
            else:
                assert list(part.folder.glob(one["includes"]))
        fields = [field for records in metadata["recordSet"] for field in records["field"]]
        ids = [one["@id"] for one in (*metadata["recordSet"], *fields, *resources.values())]
        assert len(set(ids)) == len(ids)
        for field in fields:
            table = field["source"]["fileObject"]["@id"]
            header = (part.folder / resources[table]["contentUrl"]).read_text().splitlines()[0].split(",")
            assert field["source"]["extract"]["column"] in header
            assert field.get("references", {"field": {"@id": "images/image"}})["field"]["@id"] in ids


def test_croissant_validates(outs: dict[str, Imported]) -> None:
    library = pytest.importorskip("mlcroissant", reason="mlcroissant, which needs pandas, is not installed")
    for out, _ in outs.values():
        for part in load_splits(out).values():
            dataset = library.Dataset(jsonld=str(part.folder / "croissant.json"))
            assert not dataset.metadata.ctx.issues.errors
            assert len(list(dataset.records("images"))) == len(part.images)


def test_a_collection_is_described(outs: dict[str, Imported]) -> None:
    overview = describe(load_dataset(outs["mini-mias"][0]))
    assert (overview.images, overview.normals, overview.unlisted, overview.patients) == (4, 1, 1, 2)
    assert overview.kinds == {"mass": 2, "asymmetry": 1} and (overview.malignant, overview.benign) == (1, 2)
    labels = {name: describe(load_dataset(outs[name][0])).whole_breasts for name in ("cmmd", "kau-bcmd", "coco")}
    assert labels == {
        "cmmd": {"BENIGN": 2, "MALIGNANT": 1},
        "kau-bcmd": {"BI-RADS 1": 1, "BI-RADS 3": 1, "BI-RADS 5": 1},
        "coco": {},
    }


def test_next_run_reuses_what_is_done(tmp_path: Path) -> None:
    source, out = ddsm(tmp_path / "source"), tmp_path / "out"
    lost = source / "cancers/cancer_09/case3077/B_3077_1.LEFT_MLO.png"
    kept = lost.rename(tmp_path / "kept.png")
    first = imported("ddsm", source, out)
    assert (first.splits[""].images, ("B_3077_1.LEFT_MLO", "its image is missing") in first.skipped) == (2, True)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    kept.rename(lost)
    overlay = source / "cancers/cancer_09/case3077/B_3077_1.RIGHT_CC.OVERLAY"
    overlay.write_text(overlay.read_text().replace("UNPROVEN", "BENIGN"))
    second = imported("ddsm", source, out)
    assert (second.splits[""].images, second.splits[""].normals, second.reused) == (3, 1, 1)
    assert [row.pathology for row in load_dataset(out).lesions] == ["MALIGNANT", "BENIGN"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if "RIGHT" not in path.name)


def test_an_outline_that_is_drawn_anew_is_read_anew(tmp_path: Path) -> None:
    source, out = inbreast(tmp_path / "source", table="xls"), tmp_path / "out"
    imported("inbreast", source, out)
    rois(source / "INbreast Release 1.0/AllXML/20586908.xml", ("Spiculated Region", square((10, 10, 40, 40))))
    imported("inbreast", source, out)
    assert [(row.x, row.width, row.kind) for row in load_dataset(out).lesions] == [(10, 40, "mass")]


def test_mias_gives_labels_without_places(tmp_path: Path) -> None:
    report = imported("mini-mias", mias(tmp_path / "source"), tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    assert (dataset.lesions, dataset.normals) == ((), ("mdb002rm.png",))
    assert [(row.breast_side, row.pathology) for row in dataset.image_rows()] == [("LEFT", "MALIGNANT"), ("RIGHT", "")]
    assert "is not documented for this edition" in report.skipped[0][1]


def test_jpeg_edition_of_cbis_ddsm(tmp_path: Path) -> None:
    imported("cbis-ddsm", cbis_jpeg(tmp_path / "source"), tmp_path / "out")
    for split, patient in (("train", "P_00001"), ("test", "P_00002")):
        (lesion,) = load_dataset(tmp_path / "out" / split).lesions
        assert (lesion.patient_id, lesion.x, lesion.y, lesion.width, lesion.height) == (patient, 30, 60, 24, 36)
    assert not (tmp_path / "out/train/folds.csv").read_text().startswith("P_")


def test_calcifications_of_cbis_ddsm(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    shown = film(1)
    download.add("train", "P_00001", image=shown)
    download.add("train", "P_00001", kind="calc", image=shown, mask=ellipse((60, 20, 20, 30)), pathology="BENIGN")
    download.add("train", "P_00099", kind="calc", image=film(5), pathology="BENIGN_WITHOUT_CALLBACK")
    download.add("test", "P_00001", kind="calc", image=film(6), view="MLO")
    report = imported("cbis-ddsm", download.finish(), tmp_path / "out")
    dataset = load_dataset(tmp_path / "out/train")
    assert [(row.image, row.abnormality_id, row.kind, row.mass_shape) for row in dataset.lesions] == [
        ("P_00001_LEFT_CC.png", "1", "mass", "OVAL"),
        ("P_00001_LEFT_CC.png", "calc1", "calcification", ""),
        ("P_00099_LEFT_CC.png", "calc1", "calcification", ""),
    ]
    # The film is in both tables, under two folders; a patient is in one part only.
    assert report.merged_images == 1
    assert report.skipped == (("test/P_00001_LEFT_MLO_calc1", "its patient has masses in the other part of the split"),)
    masses = dataset.of_kinds({"mass"})
    assert (len(masses.lesions), masses.normals) == (1, ())
    published = patient_folds(dataset)
    assert published.keys() >= {"P_00001", "P_00099"}


def test_folders_named_by_series_uid(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    for file in download.add("train", "P_00001")[::2]:
        if file.parent.is_dir():
            shutil.copytree(file.parent, tmp_path / "flat" / file.parent.name)
    download.finish()
    for table in download.root.glob("*.csv"):
        shutil.copy(table, tmp_path / "flat")
    imported("cbis-ddsm", tmp_path / "flat", tmp_path / "out")
    assert [row.x for row in load_dataset(tmp_path / "out/train").lesions] == [30]


def _without(*names: str) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        for name in names:
            for path in sorted(source.rglob(name)):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return change


def _replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        (path,) = source.rglob(name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (
            "inbreast",
            _without("AllXML"),
            r"holds no AllDICOMs/\*\.dcm, .* \(Missing: AllXML\); it holds INbreast Release",
        ),
        ("inbreast", _without("*.csv"), r"INbreast\.csv or INbreast\.xls \(Missing: INbreast\.csv\)"),
        (
            "inbreast",
            _replaced("INbreast.csv", "Bi-Rads", "Grade"),
            "INbreast.csv: has no column 'Bi-Rads'; it has Patient",
        ),
        ("inbreast", _replaced("INbreast.csv", ";L;CC", ";X;CC"), "row 2: column 'side' is 'X', expected one of L, R"),
        ("mini-mias", _without("Info.txt"), r"holds no mdbNNN\.pgm and Info\.txt .*it holds Licence\.txt, mdb001\.pgm"),
        ("mini-mias", _without("*.pgm"), r"holds no mdbNNN\.pgm and Info\.txt; it holds Info\.txt, Licence\.txt"),
        (
            "mini-mias",
            _replaced("Info.txt", "CIRC B 55 120 20", "CIRC B 55"),
            r"Info\.txt: line 'mdb001 G CIRC B 55', exp",
        ),
        ("vindr-mammo", _without("images"), r"holds no images/<study>/<image>\.dicom, finding_annotations\.csv"),
        ("vindr-mammo", _without("finding_annotations.csv"), "it holds breast-level_annotations.csv, images/"),
        (
            "vindr-mammo",
            _replaced("finding_annotations.csv", "['Mass']", "Mass"),
            r"'Mass', expected a list such as \['M",
        ),
        ("vindr-mammo", _replaced("finding_annotations.csv", "['Mass']", "['Odd']"), "known findings; 'Odd' is none"),
        (
            "vindr-mammo",
            _replaced("breast-level_annotations.csv", "training", "other"),
            "'other', expected one of training",
        ),
        ("cmmd", _without("*.xlsx"), r"holds no CMMD_clinicaldata_revision\.xlsx .*; it holds CMMD/"),
        ("cmmd", _without("CMMD"), r"and DICOM files, such as CMMD/D1-0001"),
        (
            "dmid",
            _without("ROI Masks"),
            r"holds no 'TIFF Images/IMG001\.tif', 'ROI Masks/.* it holds Metadata\.xlsx, TIFF",
        ),
        ("dmid", _without("*.tif"), "no row of Metadata.xlsx and no image is named such as IMG001"),
        ("kau-bcmd", _without("[bB][iI][rR]*"), r"holds no folders BIRAD1, .*; it holds correctSheetlast\.xlsx"),
        ("ddsm", _without("*.ics"), r"holds no \.ics files, such as B-3077-1\.ics.*; it holds cancers/"),
        ("ddsm", _without("*.png", "*.jpg"), r"\(B_3077_1\.LEFT_CC: its image is missing\); it holds cancers/"),
        ("coco", _without("*.json"), "holds no one .json file with 'images'.*; it holds images/"),
        ("coco", _replaced("annotations.json", "malignant_mass", "cat"), "category 'cat' is of no kind that is known"),
        (
            "coco",
            _replaced("annotations.json", "w2/cc.png", "../cc.png"),
            r"'file_name' is '\.\./cc\.png', expected a path",
        ),
        ("coco", _replaced("annotations.json", '"image_id": 2', '"image_id": 7'), "an annotation is of image 7, which"),
        ("coco", _replaced("annotations.json", '"annotations"', '"notes"'), "has no list 'annotations' of objects"),
        ("coco", _replaced("annotations.json", "w2/cc.png", ".cc.png"), r"image 3: FoundImage\.name is '\.cc'"),
        (
            "csv-table",
            _without("*.csv"),
            r"holds no one \.csv file with the columns image, x, y, .*; it holds a\.png, b",
        ),
        ("csv-table", _replaced("boxes.csv", ",label,", ",class,"), "has no column 'label'; it has image, x"),
        (
            "csv-table",
            _replaced("boxes.csv", "malignant mass", "cat"),
            "row 2: column 'label' is 'cat', expected a word",
        ),
        ("csv-table", _replaced("boxes.csv", "40,60", "left,60"), "row 2: column 'x' is 'left', expected a number"),
        (
            "csv-table",
            _replaced("boxes.csv", ",,,,normal", ",,,,mass"),
            "row 4: column 'x' is '', expected a number, as",
        ),
        ("csv-table", _replaced("boxes.csv", "a.png,40", "../a.png,40"), r"'\.\./a\.png', expected a path below"),
    ],
)
def test_wrong_layouts_are_refused_by_name(
    tmp_path: Path, name: str, change: Callable[[Path], None], problem: str
) -> None:
    source = TREES[name](tmp_path / "source")
    change(source)
    with pytest.raises(DatasetError, match=problem):
        find_importer(name).find(source)


@pytest.mark.parametrize("name", [name for name in importer_names() if name != "invented"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="absent"):
        find_importer(name).find(tmp_path / "absent")


@pytest.mark.parametrize(
    ("tree", "name", "change", "skipped"),
    [
        (inbreast, "inbreast", _replaced("20586908.xml", "(40.000000", "[40.000000"), "holds a point '[40.000000"),
        (inbreast, "inbreast", _replaced("20586908.xml", "<plist", "<other"), "is not a property list of outlines"),
        (ddsm, "ddsm", _replaced("*LEFT_CC.OVERLAY", "ABNORMALITIES 2", "ABNORMALITIES 3"), "does not hold the abn"),
        (
            ddsm,
            "ddsm",
            _replaced("*LEFT_CC.OVERLAY", "40 60 2", "40 60 9"),
            "holds an outline that is not 'column row'",
        ),
        (ddsm, "ddsm", _replaced("*LEFT_CC.OVERLAY", "40 60 2", "159 60 2"), "its outline leaves the film"),
        (ddsm, "ddsm", _without("*RIGHT_CC.OVERLAY"), "its outlines, B_3077_1.RIGHT_CC.OVERLAY, are missing"),
        (vindr_mammo, "vindr-mammo", _without("b.dicom"), "the file images/s1/b.dicom is missing"),
        (
            vindr_mammo,
            "vindr-mammo",
            _replaced("breast-level_annotations.csv", "200,160", "90,80"),
            "the collection says",
        ),
        (coco, "coco", _replaced("annotations.json", "[100, 20, 20, 10]", "[100]"), "its place cannot be used"),
        (csv_table, "csv-table", _without("c.jpg"), "no such file"),
    ],
)
def test_one_damaged_file_stops_nothing(
    tmp_path: Path, tree: Callable[[Path], Path], name: str, change: Callable[[Path], None], skipped: str
) -> None:
    source = tree(tmp_path / "source")
    change(source)
    report = imported(name, source, tmp_path / "out")
    assert any(skipped in reason for _, reason in report.skipped)
    assert sum(counts.images for counts in report.splits.values()) >= (0 if "says" in skipped else 1)


def test_outlines_become_masks() -> None:
    shape = (20, 30)
    expected = np.zeros(shape, bool)
    expected[4:9, 3:13] = True
    corners = ((3.0, 4.0), (13.0, 4.0), (13.0, 9.0), (3.0, 9.0))
    np.testing.assert_array_equal(Polygons((corners,))(shape).mask, expected)
    steps = (2,) * 9 + (4,) * 4 + (6,) * 9 + (0,) * 4
    np.testing.assert_array_equal(ChainCode((3, 4), steps, shape)(shape).mask, expected)
    counts = (3 * 20 + 4, *[5, 15] * 9, 5, 20 - 9 + 17 * 20)
    np.testing.assert_array_equal(RunLengths(counts, shape)(shape).mask, expected)
    with pytest.raises(UnusableError, match="do not fill 30 x 20 pixels"):
        RunLengths((1, 2), shape)(shape)
    with pytest.raises(UnusableError, match="leaves the film"):
        ChainCode((0, 0), (6,), shape)(shape)


def test_run_lengths_are_unpacked_as_the_reference_library_packs_them() -> None:
    mask_api = pytest.importorskip("faster_coco_eval.core.mask")
    drawn = np.zeros((60, 50), np.uint8, order="F")
    drawn[10:40, 5:30] = 1
    drawn[15:20, 8:12] = 0
    packed = mask_api.encode(drawn)["counts"]
    counts = unpacked_counts(packed.decode() if isinstance(packed, bytes) else packed)
    np.testing.assert_array_equal(RunLengths(counts, (60, 50))((60, 50)).mask, drawn.astype(bool))
    with pytest.raises(ValueError, match="cut off"):
        unpacked_counts("o")


def test_kau_takes_masks_for_no_images(tmp_path: Path) -> None:
    source = kau_bcmd(tmp_path / "source")
    assert [image.name for image in find_importer("kau-bcmd").find(source).images] == [
        "2018_BC005421_CC_R", "2019_BC7_CC_L", "2018_BC005422_MLO_L",
    ]  # fmt: skip


def test_pgm_is_an_image_of_a_dataset(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.pgm")
    (tmp_path / "images.csv").write_text("image,patient_id,breast_side\na.pgm,w1,LEFT\n")
    dataset = load_dataset(tmp_path)
    assert check_integrity(dataset) == () and dataset_mammogram(dataset, "a.pgm").file_format == "PGM"
