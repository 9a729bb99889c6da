"""The selection of an exam's key objects: valid, of the same study, and of nothing that shows no finding."""

from __future__ import annotations

from pathlib import Path

import pydicom
from dicom_checks import COLUMNS, ROWS, analysed, validate, write_variant
from made_analyses import finding
from pydicom.dataset import Dataset

from mammoscope.example.exam import write_view
from mammoscope.findings import Analysis
from mammoscope.writers.dicom.key_objects import key_objects
from mammoscope.writers.dicom.made import Made
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, dicom_results, write_result

KINDS = (ResultKind.SR, ResultKind.SEG)
BOX = (100.25, 120.5, 180.75, 230.0)


def made(path: Path, analysis: Analysis) -> Made:
    return Made(analysis, read_origin(path, analysis), tuple(dicom_results(analysis, path, KINDS).values()))


def referenced(selection: Dataset) -> list[str]:
    """The objects that it selects, in their order."""
    parts = [part for part in selection.ContentSequence if "ReferencedSOPSequence" in part]
    return [part.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for part in parts]


def test_images_with_findings_are_selected_with_their_results(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for number, path in enumerate(paths):
        write_view(path, number, 0, ROWS, COLUMNS)
    found = [finding(BOX, 0.8)], [], [finding(BOX, 0.7), finding(BOX, 0.4)]
    exam = [made(path, analysed(path, *findings)) for path, findings in zip(paths, found, strict=True)]
    selection = key_objects(exam)
    assert selection is not None
    write_result(tmp_path / "exam.ko.dcm", selection)
    validate(tmp_path / "exam.ko.dcm")
    read, source = pydicom.dcmread(tmp_path / "exam.ko.dcm"), pydicom.dcmread(paths[0])
    assert (read.Modality, read.StudyInstanceUID, read.PatientID) == ("KO", source.StudyInstanceUID, source.PatientID)
    with_findings = [exam[0], exam[2]]
    expected = {one.origin.image.SOPInstanceUID for one in with_findings}
    expected |= {result.SOPInstanceUID for one in with_findings for result in one.results}
    assert set(referenced(read)) == expected and len(referenced(read)) == 6
    said = [
        part.TextValue
        for part in read.ContentSequence
        if "TextValue" in part and part.ConceptNameCodeSequence[0].CodeMeaning == "Key Object Description"
    ]
    assert said == ["3 findings on 2 of 3 images. Research use only. Not for diagnostic use."]
    again = key_objects(exam[::-1])
    assert again is not None and again.SOPInstanceUID == selection.SOPInstanceUID


def test_nothing_found_selects_nothing_and_the_character_set_is_the_images(tmp_path: Path) -> None:
    def in_japanese(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"

    write_view(tmp_path / "plain.dcm", 1, 0, ROWS, COLUMNS)
    path = write_variant(tmp_path / "plain.dcm", tmp_path / "japanese.dcm", in_japanese)
    assert key_objects([made(path, analysed(path))]) is None
    selection = key_objects([made(path, analysed(path, finding(BOX, 0.8)))])
    assert selection is not None
    write_result(tmp_path / "exam.ko.dcm", selection)
    validate(tmp_path / "exam.ko.dcm")
    assert str(pydicom.dcmread(tmp_path / "exam.ko.dcm").PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
