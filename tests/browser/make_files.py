"""Make the files that the browser tests drop: ``python make_files.py FOLDER``. All of them are synthetic."""

from __future__ import annotations

import io
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pydicom

from mammoscope.bundle import MANIFEST, default_bundle_folder, load_bundle
from mammoscope.example import PhantomSettings, Shape, write_exam
from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import PhantomView, make_exam
from mammoscope.mammogram import Laterality

SCRIPT = "<script>document.title='caught'</script><img src=x onerror=\"document.title='caught'\">"
MARK = (760, 560, 840, 620)  # x0, y0, x1, y1 of a bright rectangle in marked.dcm, in pixels of the file
FLOOR = 0.1
TWO_MASSES = PhantomSettings(masses=(Shape.SPICULATED, Shape.LOBULATED))  # a breast each, found in both of its views
SEED = 6  # of the small exam: a plain mass in both left views
FILM = (5120, 4096)  # rows, columns of film.dcm: 20 megapixels


def main(folder: Path) -> None:
    exam = write_exam(folder / "exam", settings=TWO_MASSES)
    small = {(view.laterality, view.view): view for view in make_exam(SEED, 1248, 960)}
    left = small[Laterality.LEFT, "CC"]
    _save(_dataset(left), folder / "small.dcm")
    (folder / "broken.dcm").write_bytes((folder / "small.dcm").read_bytes()[:40_000])
    other = _dataset(left)  # another woman's, under the same study
    other.PatientName, other.PatientID, other.SOPInstanceUID = "OTHER^WOMAN", "OTHER-WOMAN", "2.25.4711"
    _save(other, folder / "other-woman.dcm")
    marked = _dataset(left)
    # Against the rule, the chest wall is at the right of this left breast's file: the page has to mirror it.
    pixels = np.fliplr(marked.pixel_array).copy()
    x0, y0, x1, y1 = MARK
    pixels[y0 - 24 : y1 + 24, x0 - 24 : x1 + 24] = pixels.min()
    pixels[y0:y1, x0:x1] = pixels.max()
    marked.PixelData = pixels.tobytes()
    _save(marked, folder / "marked.dcm")
    blank = _dataset(left)  # no breast, but a bright strip at the right, where a left breast's chest wall is not
    empty = np.full_like(blank.pixel_array, blank.pixel_array.min())
    empty[:, -4:] = blank.pixel_array.max()
    blank.PixelData, blank.SOPInstanceUID = empty.tobytes(), "2.25.4712"
    _save(blank, folder / "blank.dcm")
    script = _dataset(left)
    with warnings.catch_warnings(action="ignore"):  # its "=" is no good name
        script.PatientName = SCRIPT
        _save(script, folder / "script.dcm")
    _save(_film(exam[1]), folder / "film.dcm")
    _folder(folder / "folder", small)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(folder / "small.dcm", "some/where/small.dcm")
    for name in ("anna/1", "anna/2", "berta/1"):
        (folder / "women" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "women" / f"{name}.png"), (_dataset(left).pixel_array >> 4).astype(np.uint8))
    _bundle(folder / "bundle")
    _bundle(folder / "alone", without="join")


def _dataset(view: PhantomView) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(phantom_dicom(view, SEED, 1)))


def _save(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.save_as(path)


def _film(path: Path) -> pydicom.Dataset:
    """A view of the exam, as large as the largest films."""
    dataset = pydicom.dcmread(path)
    rows, columns = FILM
    spacing = [float(dataset.ImagerPixelSpacing[0]) * dataset.Rows / rows] * 2
    pixels = cv2.resize(dataset.pixel_array, (columns, rows), interpolation=cv2.INTER_LINEAR)
    dataset.Rows, dataset.Columns, dataset.ImagerPixelSpacing = rows, columns, spacing
    dataset.PixelData = pixels.tobytes()
    return dataset


def _folder(folder: Path, exam: dict[tuple[Laterality, str], PhantomView]) -> None:
    """The four views and a second left CC, in folders as a study comes on a disc, beside what is no image."""
    (folder / "series").mkdir(parents=True)
    for number, view in enumerate([*exam.values(), exam[Laterality.LEFT, "CC"]], start=1):
        _save(_dataset(view), folder / "series" / f"IM{number:04}")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / ".hidden.dcm").write_bytes(b"")
    (folder / "README.txt").write_text("No image.")
    (folder / "phantom.overlay.png").write_bytes(b"An image of an earlier analysis.")
    (folder / "phantom.json").write_text("{}")


def _bundle(folder: Path, without: str = "") -> None:
    """The default bundle with a higher floor, as fewer candidates take less time; and without one of its steps."""
    shutil.copytree(default_bundle_folder(), folder)
    manifest = load_bundle(folder).manifest.with_settings("detect", floor=FLOOR)
    steps = tuple(step for step in manifest.steps if step.name != without)
    (folder / MANIFEST).write_text(manifest.model_copy(update={"steps": steps}).model_dump_json(indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
