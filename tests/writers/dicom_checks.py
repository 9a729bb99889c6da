"""DICOM files made from the phantom, with what real ones lack or have too much of, and the checks of results."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import made_analyses
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from mammoscope.findings import Analysis, Finding
from mammoscope.readers import read_mammogram

ROWS, COLUMNS = 416, 320
DICOM_STANDARD = Path.home() / "dicom-validator"


def _film_scan(dataset: Dataset) -> None:
    """A film as CBIS-DDSM and older archives file it."""
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.Modality, dataset.ConversionType = "RG", "DF"
    for keyword in ("ImageLaterality", "ViewPosition", "ViewCodeSequence", "ImagerPixelSpacing", "DetectorType"):
        delattr(dataset, keyword)
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "10"
    dataset.LossyImageCompressionMethod = "ISO_15444_1"
    dataset.PatientOrientation = ""


def _bare(dataset: Dataset) -> None:
    for keyword in (
        "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "PatientName", "PatientID", "PatientSex",
        "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
        "PatientOrientation",
    ):  # fmt: skip
        delattr(dataset, keyword)


def _much(dataset: Dataset) -> None:
    """A patient in Latin-1, and what may not leave with the results."""
    dataset.preamble = b"SECRET PREAMBLE".ljust(128, b"\0")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientAge, dataset.PatientSize = "Müller^Zoë", "061Y", "1.68"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "Ä-17", "TEXT"
    other.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "SECRET IN ITEM")
    dataset.OtherPatientIDsSequence = [other]
    for group in (0x0009, 0x0011):
        dataset.private_block(group, "MAKER", create=True).add_new(1, "LO", "SECRET")
    dataset.private_block(0x0011, "MAKER").add_new(2, "SQ", [Dataset()])
    dataset.ProtocolName = "SECRET PROTOCOL"


def _implicit(dataset: Dataset) -> None:
    _much(dataset)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def _japanese(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"


VARIANTS: dict[str, Callable[[Dataset], None]] = {
    "as it is": lambda dataset: None,
    "film scan": _film_scan,
    "bare": _bare,
    "much": _much,
    "implicit": _implicit,
    "japanese": _japanese,
}


def write_variant(source: Path, path: Path, change: Callable[[Dataset], None]) -> Path:
    """A changed copy of a DICOM file."""
    dataset = pydicom.dcmread(source)
    change(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=False)
    return path


def analysed(path: Path, *findings: Finding, outcome: str | None = None) -> Analysis:
    """An analysis of a file with findings that were made up."""
    return made_analyses.analysis(read_mammogram(path), *findings, outcome=outcome)


def validate(path: Path) -> None:
    """Let dicom3tools judge a DICOM file, and dcmtk, where it is installed, the tree of a report."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy of dicom3tools is not installed")
    judged = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    said = (judged.stdout + judged.stderr).splitlines()
    assert said, "dciodvfy names at least the kind of object"
    assert not [line for line in said if "Error" in line], said
    if path.name.endswith((".sr.dcm", ".cad.dcm", ".ko.dcm")) and shutil.which(
        "dsrdump"
    ):  # which item may stand under which
        judged = subprocess.run(["dsrdump", path], capture_output=True, text=True, errors="replace", check=False)
        assert not [line for line in judged.stderr.splitlines() if line.startswith(("E:", "F:"))], judged.stderr
