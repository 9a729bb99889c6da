"""The engine that all importers share, driven by an importer of an invented collection in one Python file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cbis_download import ellipse, film
from invented_importer import Invented
from typer.testing import CliRunner

from mammoscope.datasets.images import dataset_mammogram, read_image, read_mask
from mammoscope.datasets.importers.find import find_importer, importer_names
from mammoscope.datasets.importers.importer import FoundImage, FoundLesion
from mammoscope.datasets.importers.report import ImportReport, SplitCounts
from mammoscope.datasets.importers.run import run_import
from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import load_dataset
from mammoscope.errors import DatasetError

PACKAGES = Path(__file__).parents[1] / "packages"
CASES = "file,woman,side,view,year,part,verdict"
FINDINGS = "file,number,box,mask,kind,verdict"


def collection(folder: Path, cases: list[str], findings: list[str]) -> Path:
    """Tables of the collection, and a film for each case that has no file yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.csv").write_text("\n".join([CASES, *cases]) + "\n")
    (folder / "findings.csv").write_text("\n".join([FINDINGS, *findings]) + "\n")
    for number, case in enumerate(cases):
        path = folder / case.split(",", maxsplit=1)[0]
        if not path.exists():
            cv2.imwrite(str(path), film(number))
    return folder


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    """One of each: a normal image, a box, a mask, both; what is damaged; and what breaks the importer."""
    root = tmp_path_factory.mktemp("invented")
    source = root / "source"
    source.mkdir()
    cv2.imwrite(str(source / "m1.png"), ellipse((30, 60, 24, 36)))
    cv2.imwrite(str(source / "m2.png"), ellipse((20, 40, 16, 16)) | ellipse((70, 140, 8, 8)))
    cv2.imwrite(str(source / "half.png"), ellipse((15, 30, 12, 18), 90, 50))
    cv2.imwrite(str(source / "black.png"), np.zeros((180, 100), np.uint8))
    (source / "crash.png").write_bytes(b"CRASH")
    (source / "fault.png").write_bytes(b"FAULT")
    (source / "gone.png").write_bytes(b"")
    cases = [
        "a.png,w1,l,CC,1990,one,", "b.png,w1,l,MLO,1990,one,normal", "c.png,w2,,,,one,", "d.png,w3,r,CC,,two,",
        "e.png,w4,r,CC,,two,", "crash.png,w5,l,CC,,two,", "fault.png,w6,l,CC,,two,", "gone.png,w7,l,CC,,two,normal",
        "f.png,w8,l,CC,,two,normal",
    ]  # fmt: skip
    findings = [
        "a.png,1,10 20 30 40,,mass,m", "a.png,2,,m1.png,mass,?", "c.png,1,90 170 50 50,m2.png,calcification,b",
        "d.png,1,95 170 30 30,,asymmetry,b", "d.png,2,,half.png,mass,m", "d.png,3,500 500 9 9,,mass,b",
        "e.png,1,,black.png,mass,b", "crash.png,1,1 1 9 9,,mass,b", "d.png,1,1 1 9 9,,mass,m",
    ]  # fmt: skip
    report = run_import(Invented(), collection(source, cases, findings), root / "out", workers=2)
    return root / "out", report


def test_splits_become_folders_with_normals(imported: tuple[Path, ImportReport]) -> None:
    out, report = imported
    assert report.splits == {"one": SplitCounts(3, 1, 3), "two": SplitCounts(2, 1, 2)}
    one, two = load_dataset(out / "one"), load_dataset(out / "two")
    assert (list(one.images), one.normals) == (["a.png", "b.png", "c.png"], ("b.png",))
    assert (list(two.images), two.normals) == (["d.png", "f.png"], ("f.png",))
    assert (one.image_row("b.png").exam, one.image_row("b.png").split) == ("1990", "one")
    assert one.patients == ("w1", "w2") and check_integrity(one) == check_integrity(two) == ()


def test_box_mask_or_both(imported: tuple[Path, ImportReport]) -> None:
    one, two = load_dataset(imported[0] / "one"), load_dataset(imported[0] / "two")
    boxes = {(row.image, row.abnormality_id): tuple(row.box) for row in (*one.lesions, *two.lesions)}
    assert boxes == {
        ("a.png", "1"): (10, 20, 40, 60),
        ("a.png", "2"): (30, 60, 54, 96),
        ("c.png", "1"): (20, 40, 78, 148),  # both parts of the mask, whatever the box said
        ("d.png", "1"): (95, 170, 100, 180),  # what of it lies on the image
        ("d.png", "2"): (30, 60, 54, 96),  # a mask of half the size
    }
    assert [bool(row.crop and row.mask) for row in one.lesions] == [False, True, True]
    assert read_mask(one.mask_path(one.lesions[2])).shape == (256, 256)
    assert [row.malignant for row in one.lesions] == [True, None, False]
    assert [row.kind for row in one.lesions] == ["mass", "mass", "calcification"]


def test_pixels_and_spacing_arrive(imported: tuple[Path, ImportReport]) -> None:
    dataset = load_dataset(imported[0] / "one")
    np.testing.assert_array_equal(read_image(dataset.image_path("b.png")), film(1))
    mammogram = dataset_mammogram(dataset, "c.png")
    assert mammogram.spacing is not None and (mammogram.spacing.row_mm, mammogram.pixel_aspect) == (0.1, 1)
    assert mammogram.laterality is mammogram.view is None


def test_dataset_says_whose_it_is(imported: tuple[Path, ImportReport]) -> None:
    dataset = load_dataset(imported[0] / "two")
    assert (dataset.info.name, dataset.info.licence) == ("The Invented Collection", "CC0")
    assert dataset.credit == "Invented by nobody, CC0"
    assert dataset.info.published("detector") is None


def test_what_is_left_out_is_reported_with_the_reason(imported: tuple[Path, ImportReport]) -> None:
    out, report = imported
    reasons = [(name, reason.partition(" (KeyError in")[0]) for name, reason in report.skipped]
    assert reasons == [
        ("film 0", "was never taken"),
        ("two/d_1", "the collection lists this lesion twice"),
        ("two/d_3", "box: 9 x 9 pixels at 500, 500 does not lie on the image of 100 x 180"),
        ("two/e_1", "mask: holds no lesion"),
        ("two/crash_1", "the process that read it crashed"),
        ("two/fault", "mammogram: the importer failed"),
        ("two/gone", "mammogram: gone.png is missing"),
    ]
    assert not any("must not be told" in reason for _, reason in report.skipped)
    assert report.resized_masks == (("two/d_2", "50 x 90 to 100 x 180"),)
    assert report.remarks == {"rooms": ("nowhere",), "odd_masks": ("two/d_2",)}
    written = json.loads((out / "import_report.json").read_text())
    assert (written["one_images"], written["one_normals"], written["two_lesions"]) == (3, 1, 2)
    assert written["skipped"] == [list(one) for one in report.skipped]
    assert not (out / "two/images/e.png").exists(), "without its lesion, it would pass for a normal image"


def test_collection_without_splits_is_one_folder(tmp_path: Path) -> None:
    source = collection(tmp_path / "source", ["a.png,w1,l,CC,,,normal"], [])
    calls: list[tuple[int, int]] = []
    report = run_import(Invented(), source, tmp_path / "out", workers=1, progress=lambda *call: calls.append(call))
    assert report.as_json()["normals"] == 1 and calls == [(1, 1)]
    assert load_dataset(tmp_path / "out").normals == ("a.png",)


def test_files_of_one_name_become_one_image_or_two(tmp_path: Path) -> None:
    for folder, seed in (("x", 1), ("y", 1), ("z", 2)):
        (tmp_path / "source" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "source" / folder / "a.png"), film(seed))
    cases = [f"{folder}/a.png,w1,l,CC,,," for folder in "xyz"]
    source = collection(tmp_path / "source", cases, ["y/a.png,1,1 1 9 9,,mass,b"])
    report = run_import(Invented(), source, tmp_path / "out", workers=1)
    dataset = load_dataset(tmp_path / "out")
    assert (report.merged_images, dataset.normals) == (1, ("a_copy2.png",))
    assert {image: len(lesions) for image, lesions in dataset.images.items()} == {"a.png": 1, "a_copy2.png": 0}


def test_lesions_of_two_images_are_told_apart_whatever_their_names(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    cv2.imwrite(str(source / "m1.png"), ellipse((30, 60, 24, 36)))
    cv2.imwrite(str(source / "m2.png"), ellipse((20, 40, 16, 16)))
    cases = ["P1.png,w1,l,CC,,,", "P1_L.png,w2,l,CC,,,"]
    findings = ["P1.png,L_1,,m1.png,mass,m", "P1_L.png,1,,m2.png,mass,b", "P1_L.png,1,,m2.png,mass,b"]
    report = run_import(Invented(), collection(source, cases, findings), tmp_path / "out", workers=1)
    assert report.skipped[-1] == ("P1_L_1", "the collection lists this lesion twice") and len(report.skipped) == 2
    dataset = load_dataset(tmp_path / "out")
    assert [(row.image, row.abnormality_id, row.crop) for row in dataset.lesions] == [
        ("P1.png", "L_1", "P1_L%5F1.png"), ("P1_L.png", "1", "P1_L_1.png"),
    ]  # fmt: skip
    assert check_integrity(dataset) == ()


def test_next_run_does_what_changed_and_nothing_else(tmp_path: Path) -> None:
    cases = ["a.png,w1,l,CC,,,normal", "b.png,w2,l,CC,,,", "c.png,w3,l,CC,,,normal"]
    findings = ["b.png,1,1 1 9 9,,mass,?"]
    source = collection(tmp_path / "source", cases, findings)
    (source / "c.png").write_bytes(b"FAULT")
    out = tmp_path / "out"
    assert run_import(Invented(), source, out, workers=1).splits[""] == SplitCounts(2, 1, 1)
    before = (out / "images/a.png").stat().st_mtime_ns
    cv2.imwrite(str(source / "c.png"), film(2))
    collection(source, cases, ["b.png,1,1 1 9 9,,mass,m"])
    report = run_import(Invented(), source, out, workers=1)
    assert (report.splits[""], report.reused, report.skipped[1:]) == (SplitCounts(3, 2, 1), 1, ())
    assert (out / "images/a.png").stat().st_mtime_ns == before
    assert [row.pathology for row in load_dataset(out).lesions] == ["MALIGNANT"]


def test_run_that_is_killed_is_resumed(tmp_path: Path) -> None:
    count = 40
    for number in range(count):
        (tmp_path / "source").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"source/f{number}.png"), film(number, 450, 300))
    cases = [f"f{number}.png,w{number},l,CC,,,{'normal' if number % 2 else ''}" for number in range(count)]
    findings = [f"f{number}.png,1,10 10 20 20,,mass,b" for number in range(0, count, 2)]
    source, out = collection(tmp_path / "source", cases, findings), tmp_path / "out"
    script = tmp_path / "run.py"
    script.write_text(
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(PACKAGES)!r})\n"
        "from invented_importer import Invented\n"
        "from mammoscope.datasets.importers.run import run_import\n"
        "if __name__ == '__main__': run_import(Invented(), Path(sys.argv[1]), Path(sys.argv[2]), workers=1)"
    )
    process = subprocess.Popen([sys.executable, str(script), str(source), str(out)])
    deadline = time.monotonic() + 60
    while len(list(out.glob(".import/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    finished = len(list(out.glob(".import/*.json")))
    assert 3 <= finished < count
    report = run_import(Invented(), source, out, workers=1)
    assert report.splits[""] == SplitCounts(count, count // 2, count // 2)
    assert finished <= report.reused < count
    dataset = load_dataset(out)
    assert list(dataset.images) == [f"f{number}.png" for number in range(count)] and check_integrity(dataset) == ()


def test_importer_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site/broken-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    points = ("broken = no_such_module:Importer", "wrong = pathlib:Path")
    (package / "entry_points.txt").write_text("\n".join(["[mammoscope.importers]", *points]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert {"broken", "cbis-ddsm", "invented", "wrong"} <= set(importer_names())
    assert isinstance(find_importer("invented"), Invented)
    with pytest.raises(DatasetError, match="importer 'broken': no_such_module:Importer cannot be imported"):
        find_importer("broken")
    with pytest.raises(DatasetError, match="importer 'wrong': PosixPath lacks title, licence"):
        find_importer("wrong")


def test_command_imports_by_name_and_lists_names(tmp_path: Path) -> None:
    from mammoscope.cli.app import app

    run = CliRunner().invoke(app, ["data", "import", "nothing", str(tmp_path), str(tmp_path / "out")])
    assert str(run.exception) == f"no importer is named 'nothing'; known are {', '.join(importer_names())}"
    run = CliRunner().invoke(app, ["data", "import", "cbis-ddsm", str(tmp_path), str(tmp_path / "out")])
    assert "mass_case_description_train_set.csv" in str(run.exception)
    assert not (tmp_path / "out").exists()


def test_importer_of_the_documentation_imports(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "source").mkdir()
    cv2.imwrite(str(tmp_path / "source/17_CC.png"), film(1))
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    run_import(namespace["MyCollection"](), tmp_path / "source", tmp_path / "out", workers=1)
    dataset = load_dataset(tmp_path / "out")
    assert (dataset.normals, dataset.patients, dataset.info.name) == (("17_CC.png",), ("17",), "My Collection")


@pytest.mark.parametrize("tables", [None, []])
def test_what_is_not_a_download_is_refused(tmp_path: Path, tables: list[str] | None) -> None:
    if tables is not None:
        collection(tmp_path, tables, [])
    with pytest.raises(DatasetError, match=r"holds no (cases\.csv|image of The Invented Collection)"):
        run_import(Invented(), tmp_path, tmp_path / "out")


def test_image_of_two_patients_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    cv2.imwrite(str(tmp_path / "x/a.png"), film(1))
    source = collection(tmp_path, ["a.png,w1,l,CC,,,", "x/a.png,w2,l,CC,,,"], [])
    with pytest.raises(DatasetError, match="a: the collection gives this image to two patients"):
        run_import(Invented(), source, tmp_path / "out")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: FoundLesion("1"), "lesion '1' has neither a box nor a mask"),
        (lambda: FoundLesion("1", box=(0, 0, 9, 9), kind="lump"), "FoundLesion.kind is 'lump', expected one of mass"),
        (
            lambda: FoundLesion("1", box=(0, 0, 9, 9), pathology="BAD"),
            "FoundLesion.pathology is 'BAD', expected one of",
        ),
        (lambda: FoundLesion("../1", box=(0, 0, 9, 9)), "FoundLesion.abnormality_id is '../1', expected a plain name"),
        (lambda: FoundImage("a/b", "w", film), "FoundImage.name is 'a/b', expected a plain file name"),
        (lambda: FoundImage("a", "", film), "FoundImage.patient_id is '', expected an id"),
        (lambda: FoundImage("a", "w", film, breast_side="L"), "FoundImage.breast_side is 'L', expected one of LEFT"),
        (lambda: FoundImage("a", "w", film, split=".."), "FoundImage.split is '..', expected a plain folder name"),
        (
            lambda: FoundImage("a", "w", film, normal=True, lesions=(FoundLesion("1", box=(0, 0, 9, 9)),)),
            "image 'a' is called normal and has 1 lesions",
        ),
    ],
)
def test_what_an_importer_must_not_say(make: object, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()  # type: ignore[operator]
    assert problem in str(caught.value)
