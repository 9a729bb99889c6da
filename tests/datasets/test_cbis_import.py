"""Importing a CBIS-DDSM download: what lands in the dataset, and what happens to the download's known faults."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from cbis_download import COLUMNS, ROWS, TABLES, Download, ellipse, film, write_dicom

from mammoscope.datasets.images import read_crop, read_image, read_mask
from mammoscope.datasets.importers.cbis_ddsm.importer import CbisDdsm
from mammoscope.datasets.importers.cbis_ddsm.tables import read_case_tables
from mammoscope.datasets.importers.report import ImportReport, SplitCounts
from mammoscope.datasets.importers.run import run_import
from mammoscope.datasets.layout import load_dataset
from mammoscope.errors import DatasetError


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ImportReport]:
    """A download with one of each known fault, and what the import made of it."""
    root = tmp_path_factory.mktemp("cbis")
    download = Download(root / "source" / "CBIS-DDSM")
    download.add("train", "P_00001")
    download.add("train", "P_00002", mask_first=True)
    download.add("train", "P_00003", mask=ellipse((60, 120, 48, 72), 2 * ROWS, 2 * COLUMNS))
    two = film(7)
    download.add("train", "P_00004", 1, image=two, mask=ellipse((10, 20, 20, 20)))
    download.add("train", "P_00004", 2, image=two, mask=ellipse((60, 90, 20, 30)), pathology="BENIGN")
    download.add("train", "P_00005", 1, image=film(9), side="RIGHT", own_image=True)
    download.add("train", "P_00005", 2, image=film(9), side="RIGHT", own_image=True, mask=ellipse((5, 5, 20, 30)))
    shutil.rmtree(download.add("train", "P_00006")[0].parents[2])
    film_path, *_ = download.add("train", "P_00007")
    film_path.write_bytes(film_path.read_bytes()[:9000])
    *_, mask_path = download.add("train", "P_00008")
    mask_path.write_bytes(b"not DICOM at all" * 20)
    download.add("train", "P_00009", mask=np.zeros((ROWS, COLUMNS), np.uint8))
    download.add("train", "P_00010", mask=ellipse((2, 2, 8, 9), 20, 40))
    download.add("test", "P_00011", view="MLO", names=("000000.dcm", "000001.dcm"))
    download.add("test", "P_00001", view="MLO")
    download.calcifications = {"train": ["P_00002", "P_00020"], "test": ["P_00003"]}
    return root / "source", root / "out", run_import(CbisDdsm(), download.finish().parent, root / "out", workers=2)


def report_of(download: Download, out: Path) -> ImportReport:
    return run_import(CbisDdsm(), download.finish(), out, workers=1)


def test_counts_and_official_splits(faulty: tuple[Path, Path, ImportReport]) -> None:
    _, out, report = faulty
    assert report.splits == {"train": SplitCounts(5, 0, 7), "test": SplitCounts(2, 0, 2)}
    train, test = load_dataset(out / "train"), load_dataset(out / "test")
    assert train.patients == ("P_00001", "P_00002", "P_00003", "P_00004", "P_00005")
    assert test.patients == ("P_00001", "P_00011")
    assert list(test.images) == ["P_00011_LEFT_MLO.png", "P_00001_LEFT_MLO.png"]


def test_labels_and_box_of_a_lesion(faulty: tuple[Path, Path, ImportReport]) -> None:
    lesion = load_dataset(faulty[1] / "train").lesions[0]
    assert (lesion.image, lesion.crop, lesion.mask) == ("P_00001_LEFT_CC.png", *["P_00001_LEFT_CC_1.png"] * 2)
    assert (lesion.x, lesion.y, lesion.width, lesion.height) == (30, 60, 24, 36)
    assert lesion.malignant and lesion.mass_margins == "SPICULATED" and lesion.breast_density == "3"
    assert lesion.pixel_aspect == pytest.approx(ROWS / COLUMNS)
    assert lesion.crop_flipped is False and not lesion.box_order_assumed


def test_image_is_stored_without_loss_and_without_the_window(faulty: tuple[Path, Path, ImportReport]) -> None:
    np.testing.assert_array_equal(read_image(faulty[1] / "train/images/P_00001_LEFT_CC.png"), film(1))


def test_crop_and_mask_show_the_same_square(faulty: tuple[Path, Path, ImportReport]) -> None:
    dataset = load_dataset(faulty[1] / "train")
    for lesion in dataset.lesions:
        crop, mask = read_crop(dataset.crop_path(lesion)), read_mask(dataset.mask_path(lesion))
        assert crop.shape == mask.shape == (256, 256)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        spans = (int(np.ptp(rows)) + 1) / 256, (int(np.ptp(columns)) + 1) / 256
        assert max(spans) == pytest.approx(0.9, abs=0.03)
        assert spans[1] / spans[0] == pytest.approx(lesion.width / lesion.height, rel=0.05)
        # The film's own pixels, put through the box, are those of the crop.
        side = max(lesion.width, lesion.height) / 0.9
        x, y = lesion.x + lesion.width / 2 - side / 2, lesion.y + lesion.height / 2 - side / 2
        scale = 256 / side
        # OpenCV counts from the middle of the first pixel, boxes count from its corner.
        change = np.array([[scale, 0, (0.5 - x) * scale - 0.5], [0, scale, (0.5 - y) * scale - 0.5]])
        again = cv2.warpAffine(
            read_image(dataset.image_path(lesion.image)).astype(np.float32), change, (256, 256), borderValue=0
        )
        inner = again > 0
        assert np.corrcoef(again[inner], crop[inner])[0, 1] > 0.9


def test_mask_and_crop_in_the_other_order_are_told_apart(faulty: tuple[Path, Path, ImportReport]) -> None:
    lesion = load_dataset(faulty[1] / "train").lesions[1]
    assert (lesion.patient_id, lesion.x, lesion.y, lesion.width, lesion.height) == ("P_00002", 30, 60, 24, 36)
    assert faulty[2].remarks["swapped"] == ("train/P_00002_LEFT_CC_1",)
    written = json.loads((faulty[1] / "import_report.json").read_text())
    assert (written["swapped"], written["swapped_lesions"]) == (1, ["train/P_00002_LEFT_CC_1"])


def test_mask_of_another_size_is_resized_and_reported(faulty: tuple[Path, Path, ImportReport]) -> None:
    lesion = load_dataset(faulty[1] / "train").lesions[2]
    assert (lesion.x, lesion.y, lesion.width, lesion.height) == (30, 60, 24, 36)
    assert faulty[2].resized_masks == (("train/P_00003_LEFT_CC_1", "200 x 360 to 100 x 180"),)


def test_lesions_of_one_mammogram_share_an_image(faulty: tuple[Path, Path, ImportReport]) -> None:
    images = load_dataset(faulty[1] / "train").images
    assert [lesion.abnormality_id for lesion in images["P_00004_LEFT_CC.png"]] == ["1", "2"]
    assert [lesion.x for lesion in images["P_00004_LEFT_CC.png"]] == [10, 60]
    # P_00005 has two files of the same pixels, so the second becomes one with the first.
    assert [lesion.crop for lesion in images["P_00005_RIGHT_CC.png"]] == [f"P_00005_RIGHT_CC_{n}.png" for n in (1, 2)]
    assert faulty[2].merged_images == 1


@pytest.mark.parametrize(
    ("patient", "reason"),
    [
        ("P_00006", "mammogram: the folder Mass-Training_P_00006_LEFT_CC is missing"),
        ("P_00007", "is cut off"),
        ("P_00008", "1-2.dcm is not a DICOM file"),
        ("P_00009", "1-2.dcm has one value only"),
        ("P_00010", "1-2.dcm is a mask of 40 x 20 pixels, which do not fit the mammogram's 100 x 180"),
    ],
)
def test_what_cannot_be_read_is_skipped_with_the_reason(
    faulty: tuple[Path, Path, ImportReport], patient: str, reason: str
) -> None:
    skipped = dict(faulty[2].skipped)
    assert len(skipped) == 5
    assert reason in skipped[f"train/{patient}_LEFT_CC_1"]
    assert not list(faulty[1].rglob(f"{patient}*.png"))


def test_patients_over_all_tables(faulty: tuple[Path, Path, ImportReport]) -> None:
    _, out, report = faulty
    assert report.remarks["patients_in_mass_and_calc"] == ("P_00002", "P_00003")
    assert report.remarks["patients_in_train_and_test"] == ("P_00001", "P_00003")
    with (out / "patients.csv").open(encoding="utf-8") as stream:
        rows = {row.pop("patient_id"): row for row in csv.DictReader(stream)}
    assert len(rows) == 12
    assert list(rows["P_00003"].values()) == ["1", "0", "0", "1", "train test"]
    assert list(rows["P_00020"].values()) == ["0", "0", "1", "0", "train"]


def test_report_is_written(faulty: tuple[Path, Path, ImportReport]) -> None:
    written = json.loads((faulty[1] / "import_report.json").read_text())
    assert written["train_lesions"] == 7
    assert written["skipped"] == [list(one) for one in faulty[2].skipped]


def test_second_run_redoes_nothing_but_what_is_missing(faulty: tuple[Path, Path, ImportReport], tmp_path: Path) -> None:
    source, first_out, report = faulty
    out = tmp_path / "out"
    shutil.copytree(first_out, out)
    pictures = sorted(out.rglob("*.png"))
    before = {path: path.stat().st_mtime_ns for path in pictures}
    lost = out / "train/crops/P_00004_LEFT_CC_2.png"
    lost.unlink()
    (out / "train/lesions.csv").unlink()
    again = run_import(CbisDdsm(), source, out, workers=1)
    assert (again.splits, again.reused) == (report.splits, 8)
    assert (again.skipped, again.remarks, again.merged_images) == (report.skipped, report.remarks, 1)
    # The mask of the lost crop is made again with it; all others are untouched.
    assert [path.name for path in pictures if path.stat().st_mtime_ns != before[path]] == ["P_00004_LEFT_CC_2.png"] * 2
    assert load_dataset(out / "train").lesions == load_dataset(first_out / "train").lesions


def test_run_that_is_killed_resumes(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    for number in range(40):
        download.add("train" if number % 2 else "test", f"P_{number:05}", image=film(number, 450, 300))
        # The same proportions as the film, so that the mask fits.
        mask = ellipse((150, 200, 60, 80), 450, 300)
        folder = download.masses["train" if number % 2 else "test"][-1]["ROI mask file path"].rsplit("/", 1)[0]
        write_dicom(download.root / folder / "1-2.dcm", mask)
    source, out = download.finish(), tmp_path / "out"
    program = (
        "import sys; from pathlib import Path\n"
        "from mammoscope.datasets.importers.cbis_ddsm.importer import CbisDdsm\n"
        "from mammoscope.datasets.importers.run import run_import\n"
        "if __name__ == '__main__': run_import(CbisDdsm(), Path(sys.argv[1]), Path(sys.argv[2]), workers=1)"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, str(script), str(source), str(out)])
    deadline = time.monotonic() + 60
    while len(list(out.glob(".import/*/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    finished = len(list(out.glob(".import/*/*.json")))
    assert 3 <= finished < 40
    report = run_import(CbisDdsm(), source, out, workers=1)
    assert {split: counts.lesions for split, counts in report.splits.items()} == {"train": 20, "test": 20}
    assert finished <= report.reused < 40
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def test_progress_counts_lesions(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    download.add("train", "P_00001", 1, image=film(1))
    download.add("train", "P_00001", 2, image=film(1))
    download.add("test", "P_00002")
    calls: list[tuple[int, int]] = []
    source, out = download.finish(), tmp_path / "out"
    run_import(CbisDdsm(), source, out, workers=1, progress=lambda *call: calls.append(call))
    assert calls[-1] == (3, 3) and {total for _, total in calls} == {3} and len(calls) == 2


def test_inverted_film_and_fewer_bits_are_spread_to_16_bits(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    film_path, *_ = download.add("train", "P_00001")
    stored = film(3) >> 4
    write_dicom(film_path, stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    report_of(download, tmp_path / "out")
    image = read_image(tmp_path / "out/train/images/P_00001_LEFT_CC.png")
    np.testing.assert_array_equal(np.rint(image / (65535 / 4095)).astype(int), 4095 - stored.astype(int))


def test_folders_named_by_the_downloader(tmp_path: Path) -> None:
    """The NBIA Data Retriever can name study and series folders by date and description; crop and mask in either."""
    download = Download(tmp_path / "source")
    _, crop, mask = download.add("train", "P_00001")
    top = mask.parents[2]
    for path, series in ((crop, "1.000000-cropped images-71719"), (mask, "1.000000-ROI mask images-18984")):
        target = top / "07-21-2016-DDSM-NA-93921" / series / "1-1.dcm"
        target.parent.mkdir(parents=True)
        path.rename(target)
    shutil.rmtree(mask.parents[1])
    report = report_of(download, tmp_path / "out")
    assert (report.splits["train"].lesions, report.remarks["swapped"], report.skipped) == (1, (), ())


def test_different_films_of_one_view_stay_apart(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    download.add("train", "P_00001", 1, image=film(1), own_image=True)
    download.add("train", "P_00001", 2, image=film(2), own_image=True)
    assert report_of(download, tmp_path / "out").merged_images == 0
    images = load_dataset(tmp_path / "out/train").images
    assert list(images) == ["P_00001_LEFT_CC.png", "P_00001_LEFT_CC_copy2.png"]


def test_same_film_under_two_patients_is_reported(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    download.add("train", "P_00001", image=film(1))
    download.add("test", "P_00002", image=film(1))
    report = report_of(download, tmp_path / "out")
    assert report.same_pixels == (("train/P_00001_LEFT_CC.png", "test/P_00002_LEFT_CC.png"),)
    assert {split: counts.images for split, counts in report.splits.items()} == {"train": 1, "test": 1}


def test_box_is_that_of_the_largest_part_and_may_touch_the_border(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    mask = ellipse((0, 130, 30, 50))
    mask[5, 90] = 255  # a stray pixel
    download.add("train", "P_00001", mask=mask)
    report_of(download, tmp_path / "out")
    lesion = load_dataset(tmp_path / "out/train").lesions[0]
    assert (lesion.x, lesion.y, lesion.width, lesion.height) == (0, 130, 30, 50)


@pytest.mark.parametrize("missing", TABLES)
def test_missing_table_is_named(tmp_path: Path, missing: str) -> None:
    download = Download(tmp_path / "source")
    download.add("train", "P_00001")
    (download.finish() / missing).unlink()
    with pytest.raises(DatasetError, match=missing):
        run_import(CbisDdsm(), download.root, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("pathology", "verdict"), "mass_case_description_train_set.csv: has no column 'pathology'"),
        (("ROI mask file path", "mask"), "has no column 'ROI mask file path'"),
        (("MALIGNANT", "MAYBE"), "row 2: column 'pathology' is 'MAYBE', expected one of MALIGNANT"),
        (("Mass-Training_P", "../Mass-Training_P"), "row 2: column 'image file path' is '../Mass"),
        (("P_00001,3", "../x,3"), "row 2: column 'patient_id' is '../x'"),
        (("P_00001,3", '"' + "x" * 200_000), "mass_case_description_train_set.csv: is not a CSV table"),
    ],
)
def test_table_that_cannot_be_used_is_named(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    download = Download(tmp_path / "source")
    download.add("train", "P_00001")
    table = download.finish() / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace(*change))
    with pytest.raises(DatasetError) as caught:
        run_import(CbisDdsm(), download.root, tmp_path / "out")
    assert problem in str(caught.value)


def test_tables_without_any_image_are_refused(tmp_path: Path) -> None:
    download = Download(tmp_path / "source")
    top = download.add("train", "P_00001")[0].parents[2]
    for folder in top.parent.iterdir():
        shutil.rmtree(folder)
    with pytest.raises(DatasetError, match=r"none of the folders .* such as Mass-Training_P_00001_LEFT_CC"):
        run_import(CbisDdsm(), download.finish(), tmp_path / "out")


def test_published_training_table_reads_whole(tmp_path: Path) -> None:
    shared = Path(__file__).parents[2] / "../shared/data/cbis-ddsm-mass"
    if not shared.is_dir():
        pytest.skip("the published tables are not at ../shared/data")
    Download(tmp_path).finish()
    for path in shared.glob("*.csv"):
        shutil.copy(path, tmp_path)
    tables = read_case_tables(tmp_path)
    assert len(tables.masses) == 1318
    assert len({row.patient_id for row in tables.masses}) == 691
    assert len({row.stem for row in tables.masses}) == len({row.image_path for row in tables.masses}) == 1231
