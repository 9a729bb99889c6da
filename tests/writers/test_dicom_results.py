"""Results as DICOM: valid, readable by others, saying what the analysis says, and drawn again where it was drawn."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_checks import COLUMNS, DICOM_STANDARD, ROWS, VARIANTS, analysed, validate, write_variant
from made_analyses import finding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from mammoscope import NOTICE
from mammoscope.errors import InputError
from mammoscope.example.exam import write_view
from mammoscope.findings import Analysis, Finding, Size
from mammoscope.writers.dicom import codes as dicom_codes
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, dicom_results, result_path, write_result
from mammoscope.writers.dicom.seg import fill

UNKNOWN_SIZE = Size(area_mm2=None, longest_diameter_mm=None, unknown_because="the file does not say the pixel spacing")
OVERLAY = np.full((31, 21, 3), 77, dtype=np.uint8)
EVERY_KIND = tuple(ResultKind)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The left CC view of a small phantom, in each variant."""
    folder = tmp_path_factory.mktemp("variants")
    write_view(folder / "original.dcm", 1, 0, ROWS, COLUMNS)
    return {
        name: write_variant(folder / "original.dcm", folder / f"{name}.dcm", change)
        for name, change in VARIANTS.items()
    }


def _findings(*, spacing: bool = True) -> tuple[Finding, ...]:
    """In the middle, at the corner of the image, overlapping, and without an outline."""
    size = {} if spacing else {"size": UNKNOWN_SIZE}
    return (
        finding((100.25, 120.5, 180.75, 230.0), 0.81, **size),
        finding((0.0, 300.0, 90.5, 416.0), 0.33, **size),
        finding((150.0, 200.0, 230.0, 260.0), 0.5, **size),
        finding((250.0, 20.0, 300.0, 60.0), 0.1, outline=(), size=UNKNOWN_SIZE),
    )


def _written(path: Path, analysis: Analysis, folder: Path, kinds: Any = EVERY_KIND) -> dict[ResultKind, Path]:
    results = dicom_results(analysis, path, kinds, overlay=OVERLAY)
    targets = {kind: result_path(folder / path.stem, kind) for kind in results}
    for kind, result in results.items():
        write_result(targets[kind], result)
    return targets


@pytest.mark.parametrize("name", VARIANTS)
def test_every_object_is_valid_and_belongs_to_the_image(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    path, source = files[name], pydicom.dcmread(files[name])
    analysis = analysed(path, *_findings(spacing="ImagerPixelSpacing" in source))
    written = _written(path, analysis, tmp_path)
    assert [file.name for file in written.values()] == [
        f"{name}.{kind}.dcm" for kind in ("sr", "seg", "sc", "gsps", "cad")
    ]
    series, study = set(), set()
    for kind, file in written.items():
        validate(file)
        read = pydicom.dcmread(file)
        series.add(read.SeriesInstanceUID)
        study.add(read.StudyInstanceUID)
        texts = _texts(read)
        assert source.SOPInstanceUID in texts and any(NOTICE in text for text in texts), kind
        assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID
        assert read.ContentQualification == "RESEARCH", kind
        assert (read.get("VerificationFlag"), read.get("PreliminaryFlag")) in (
            ("UNVERIFIED", "PRELIMINARY") if read.Modality == "SR" else (None, None),
        )
    assert len(series) == len(EVERY_KIND) and source.get("SeriesInstanceUID") not in series
    assert study == {source.StudyInstanceUID} if "StudyInstanceUID" in source else len(study) == 1
    assert np.array_equal(pydicom.dcmread(written[ResultKind.SC]).pixel_array, OVERLAY)


def test_the_report_says_what_the_analysis_says(files: dict[str, Path], tmp_path: Path) -> None:
    analysis = analysed(files["as it is"], *_findings())
    path = _written(files["as it is"], analysis, tmp_path, [ResultKind.SR])[ResultKind.SR]
    report = hd.sr.srread(path)
    assert isinstance(report.content, hd.sr.MeasurementReport)
    groups = report.content.get_planar_roi_measurement_groups()
    assert len(groups) == len(analysis.findings)
    for number, (group, expected) in enumerate(zip(groups, analysis.findings, strict=True), start=1):
        assert group.tracking_identifier == f"mammoscope finding {number}"
        assert (group.finding_type.value, group.finding_type.scheme_designator) == ("4147007", "SCT")
        (site,) = group.finding_sites
        assert (site.value.meaning, site.laterality.meaning) == ("Breast", "Left")
        box = expected.box
        corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
        outline = list(expected.outline or corners)
        assert np.allclose(group.roi.value, [*outline, outline[0]], atol=0.01)
        assert np.allclose(_box_of(group), [*corners, corners[0]], atol=0.01)
        numbers = {item.name.value: (item.value, item.unit.value) for item in group.get_measurements()}
        assert numbers["111012"] == (pytest.approx(100 * expected.detection_score), "%")
        assert numbers["111047"] == (pytest.approx(100 * expected.malignancy_score), "%")
        evaluations = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
        assert evaluations["Class by malignancy threshold"] == f"{expected.malignancy.capitalize()} appearance"
        if expected.outline:
            assert evaluations["Geometric purpose of region"] == "Outline"
            assert numbers["103339001"] == (15.26, "mm") and numbers["42798000"] == (120.4, "mm2")
        else:
            assert evaluations["Geometric purpose of region"] == "Bounded by"
            assert evaluations["Long axis"] == evaluations["Area"] == "Unknown" and len(numbers) == 2
    texts = _texts(report)
    for said in ("bundle-sha256=" + analysis.bundle.sha256, "detection-threshold=0.3", analysis.statement, NOTICE):
        assert said in texts
    observer = {item.ConceptNameCodeSequence[0].CodeMeaning for item in pydicom.dcmread(path).ContentSequence}
    assert observer >= {
        f"Device Observer {what}" for what in ("UID", "Name", "Manufacturer", "Model Name", "Serial Number")
    }
    assert _coded(report)["Image Laterality"] == "Left" and _coded(report)["Image View"] == "cranio-caudal"


def test_an_outline_of_very_many_points_still_fits(files: dict[str, Path], tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = np.stack([150 + 60 * np.cos(angle), 150 + 60 * np.sin(angle)], axis=1)
    outline = tuple((float(x), float(y)) for x, y in circle)
    analysis = analysed(files["as it is"], finding((90, 90, 210, 210), outline=outline))
    report = hd.sr.srread(_written(files["as it is"], analysis, tmp_path, [ResultKind.SR])[ResultKind.SR])
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert 6000 < len(group.roi.value) < 8192
    assert np.allclose(np.hypot(*(group.roi.value - 150).T), 60, atol=0.01)


def test_every_private_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dicom-results.md").read_text(encoding="utf-8")
    values = [*vars(dicom_codes).values(), *dicom_codes.CLASSES.values()]
    private = {item.value for item in values if isinstance(item, Code) and item.scheme_designator.startswith("99")}
    assert len(private) == 12 and all(f"({value}, 99MAMMOSCOPE)" in page for value in private)


def test_what_a_film_scan_does_not_say_is_unknown(files: dict[str, Path], tmp_path: Path) -> None:
    analysis = analysed(files["film scan"], finding((50, 50, 90, 90), size=UNKNOWN_SIZE))
    written = _written(files["film scan"], analysis, tmp_path)
    report = hd.sr.srread(written[ResultKind.SR])
    coded = _coded(report)
    assert [coded[name] for name in ("Image Laterality", "Image View", "Long axis", "Area")] == ["Unknown"] * 4
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert group.finding_sites[0].laterality is None
    assert "The file does not say the laterality, view and pixel spacing; sizes in millimetres cannot be given." in (
        _texts(report)
    )
    picture, segmentation = pydicom.dcmread(written[ResultKind.SC]), pydicom.dcmread(written[ResultKind.SEG])
    assert picture.Laterality == "" and picture.PatientOrientation == ""
    for derived in (picture, segmentation):
        assert (derived.LossyImageCompression, derived.LossyImageCompressionMethod) == ("01", "ISO_15444_1")


def test_the_segmentation_drawn_again_lies_within_a_pixel(files: dict[str, Path], tmp_path: Path) -> None:
    analysis = analysed(files["as it is"], *_findings())
    written = _written(files["as it is"], analysis, tmp_path, [ResultKind.SEG])
    result = hd.seg.segread(written[ResultKind.SEG])
    outlined = [item for item in analysis.findings if item.outline]
    assert (result.Rows, result.Columns) == (ROWS, COLUMNS)
    assert [result.get_segment_description(n).segment_label for n in result.segment_numbers] == [
        f"Finding {n}" for n in (1, 2, 3)
    ]
    source = pydicom.dcmread(files["as it is"], stop_before_pixels=True).SOPInstanceUID
    for number, expected in zip(result.segment_numbers, outlined, strict=True):
        mask = result.get_pixels_by_source_instance([source], segment_numbers=[number])[0, ..., 0]
        polygon = np.array(expected.outline, dtype=np.float32)
        (contour,), _ = cv2.findContours(
            np.kron(mask, np.ones((4, 4), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        drawn = (contour[:, 0].astype(np.float32) + 0.5) / 4  # to pixel corners
        assert max(abs(cv2.pointPolygonTest(polygon, (float(x), float(y)), True)) for x, y in drawn) < 1
        assert max(abs(cv2.pointPolygonTest(drawn, (float(x), float(y)), True)) for x, y in polygon) < 1
        description = result.get_segment_description(number)
        assert f"{expected.detection_score:.3f}" in description.SegmentDescription
        assert "cd" * 32 in description.algorithm_identification[0].AlgorithmParameters


def test_a_segmentation_has_what_ohif_needs_to_open_it(files: dict[str, Path]) -> None:
    for name, spacing in (("as it is", [0.56, 0.56]), ("film scan", None)):
        for count in (1, 3):  # highdicom keeps what one segment has in the shared groups too
            analysis = analysed(files[name], *_findings(spacing=spacing is not None)[:count])
            (groups,) = dicom_results(analysis, files[name], [ResultKind.SEG])[
                ResultKind.SEG
            ].SharedFunctionalGroupsSequence
            assert list(groups.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
            # A spacing that is not known is not made up.
            measures = groups.get("PixelMeasuresSequence", [])
            assert [list(item.PixelSpacing) for item in measures] == ([] if spacing is None else [spacing])


@pytest.mark.parametrize(
    ("outline", "pixels"),
    [
        ([(1, 1), (3, 1), (3, 2), (1, 2)], {(1, 1), (1, 2)}),
        ([(0, 0), (8, 0), (8, 6), (0, 6)], {(y, x) for y in range(6) for x in range(8)}),
        ([(2.4, 2.4), (3.6, 2.4), (3.6, 3.6), (2.4, 3.6)], {(2, 2), (2, 3), (3, 2), (3, 3)}),
        ([(4.1, 2.1), (4.3, 2.1), (4.3, 2.3)], {(2, 4)}),  # between the centres
        ([(8, 6), (8, 6), (8, 6)], {(5, 7)}),  # a point in the corner
        ([(0, 0), (4, 0), (4, 4), (2, 4), (2, 2), (0, 2)], {(0, x) for x in range(4)}
         | {(1, x) for x in range(4)} | {(2, 2), (2, 3), (3, 2), (3, 3)}),  # a concave corner
    ],
)  # fmt: skip
def test_the_pixels_of_an_outline(outline: list[tuple[float, float]], pixels: set[tuple[int, int]]) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    fill(mask, np.array(outline, dtype=np.float64))
    assert {(int(y), int(x)) for y, x in np.argwhere(mask)} == pixels


@pytest.mark.parametrize(
    ("outcome", "summary"),
    [
        ("no_finding", "All algorithms succeeded; without findings"),
        ("no_breast_found", "No algorithms succeeded; without findings"),
    ],
)
def test_a_report_without_findings_says_so(outcome: str, summary: str, files: dict[str, Path], tmp_path: Path) -> None:
    analysis = analysed(files["as it is"], outcome=outcome)
    written = _written(files["as it is"], analysis, tmp_path, [ResultKind.SR, ResultKind.SEG])
    assert set(written) == {ResultKind.SR}
    validate(written[ResultKind.SR])
    report = hd.sr.srread(written[ResultKind.SR])
    assert report.content.get_planar_roi_measurement_groups() == []
    assert _coded(report)["CAD Processing and Findings Summary"] == summary
    parts = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in report.ContentSequence}
    assert [item.TextValue for item in parts["Imaging Measurements"].ContentSequence] == [analysis.statement]
    assert {analysis.statement, NOTICE} <= _texts(report)


def test_uids_stay_for_the_same_and_change_for_another(files: dict[str, Path], tmp_path: Path) -> None:
    path = files["as it is"]
    analysis = analysed(path, finding((50, 50, 90, 90)))

    def uids(analysis: Analysis, path: Path = path) -> set[str]:
        results = dicom_results(analysis, path, EVERY_KIND, overlay=OVERLAY)
        made = {
            uid
            for result in results.values()
            for uid in (result.SeriesInstanceUID, *(e.value for e in result.iterall() if e.VR == "UI"))
            if str(uid).startswith("2.25.")
        }
        source = pydicom.dcmread(path, stop_before_pixels=True)
        return made - {source.get(key) for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}

    first = uids(analysis)
    assert first == uids(analysis)
    others = [
        analysis.above(0.31),
        analysis.model_copy(update={"bundle": analysis.bundle.model_copy(update={"sha256": "ef" * 32})}),
        analysis.model_copy(update={"software": "mammoscope 99"}),
    ]
    device = uids(analysis.above(0.31)) & first
    assert len(device) == 1, "only the device is the same at another threshold"
    assert all(not (uids(other) & first) - device for other in others)
    again = write_variant(path, tmp_path / "again.dcm", lambda dataset: setattr(dataset, "ImageComments", "changed"))
    assert not (uids(analysed(again, finding((50, 50, 90, 90))), again) & first) - device


@pytest.mark.parametrize("name", ["much", "implicit", "japanese"])
def test_patient_and_study_are_carried_over_byte_for_byte(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    source = _raw(files[name])
    for kind, file in _written(files[name], analysed(files[name], *_findings()), tmp_path).items():
        result, content = _raw(file), file.read_bytes()
        for keyword in (
            "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
            "PatientComments", "StudyInstanceUID", "StudyDate", "StudyID", "StudyDescription",
        ):  # fmt: skip
            assert result.get(keyword, b"") == source.get(keyword, b""), (kind, keyword)
        assert b"SECRET" not in content and content[:128] == bytes(128)
        read = pydicom.dcmread(file)
        assert read.PatientName == pydicom.dcmread(files[name]).PatientName
        assert not any(element.tag.is_private for element in read.iterall())
        if name != "japanese":
            assert read.OtherPatientIDsSequence[0].PatientID == "Ä-17"


def test_a_wrong_character_set_changes_no_byte(files: dict[str, Path], tmp_path: Path) -> None:
    content = files["much"].read_bytes()
    wrong = tmp_path / "wrong.dcm"
    wrong.write_bytes(
        content.replace(b"ISO_IR 100", b"ISO_IR 192").replace(b"SYNTHETIC-PHANTOM-0", b"\xc4\xd6NTHETIC-PHANTOM-0")
    )
    for file in _written(wrong, analysed(wrong, *_findings()), tmp_path).values():
        assert _raw(file)["PatientID"].startswith(b"\xc4\xd6NTHETIC")
        assert _raw(file)["PatientName"] == "Müller^Zoë".encode("latin-1")


def test_no_log_and_no_warning_quotes_the_patient(
    files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def spoil(dataset: Dataset) -> None:
        dataset.PatientBirthDate, dataset.PatientID, dataset.StudyID = "LEAKDATE", "LEAKED" * 20, "LEAK" * 9
        dataset.OtherPatientIDsSequence[0].PatientBirthDate = "LEAKDATE"
        dataset.StudyInstanceUID = "1.2.LEAK"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_variant(files["implicit"], tmp_path / "spoilt.dcm", spoil)
        analysis = analysed(path, *_findings())
    caplog.clear()
    recwarn.clear()
    written = _written(path, analysis, tmp_path)
    assert b"LEAKDATE" in written[ResultKind.SR].read_bytes()
    assert "LEAK" not in caplog.text and not [seen for seen in recwarn if "LEAK" in str(seen.message)]


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("as it is", ()),
        (
            "bare",
            (
                "StudyInstanceUID (0020,000D) is missing or invalid: the results form a separate study.",
                "SeriesInstanceUID (0020,000E) is missing or invalid: the results refer to a generated one.",
                "PatientID (0010,0020) is empty, so a PACS may not file the results with the patient.",
            ),
        ),
    ],
)
def test_what_a_file_lacks_is_said_in_words(name: str, notes: tuple[str, ...], files: dict[str, Path]) -> None:
    analysis = analysed(files[name])
    assert read_origin(files[name], analysis).notes == notes
    (report,) = dicom_results(analysis, files[name], [ResultKind.SR]).values()
    assert set(notes) <= _texts(report)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: b"\x89PNG\r\n\x1a\n" + data, "is not a DICOM file, so there are no DICOM results for it"),
        (lambda data: data + b"\0\0", "is not the file that was analysed"),
    ],
)
def test_a_file_that_was_not_analysed_is_refused(
    change: Any, problem: str, files: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.dcm"
    other.write_bytes(change(files["as it is"].read_bytes()))
    with pytest.raises(InputError, match=problem) as refused:
        dicom_results(analysed(files["as it is"]), other, [ResultKind.SR])
    assert refused.value.path == other


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID"])
def test_an_image_that_nothing_can_point_to_is_refused(keyword: str, files: dict[str, Path], tmp_path: Path) -> None:
    path = write_variant(files["as it is"], tmp_path / "x.dcm", lambda dataset: delattr(dataset, keyword))
    with pytest.raises(InputError, match=f"{keyword} .* is missing or invalid, so DICOM results cannot refer to"):
        dicom_results(analysed(path), path, EVERY_KIND)


def test_a_secondary_capture_is_drawn_where_no_overlay_is_given(files: dict[str, Path]) -> None:
    (result,) = dicom_results(analysed(files["as it is"]), files["as it is"], [ResultKind.SC]).values()
    stream = BytesIO()
    result.save_as(stream, enforce_file_format=True)
    assert min(result.pixel_array.shape[:2]) > 600 and result.pixel_array.std() > 10


def test_the_real_film_scan_gives_valid_results(tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "dicom" / "MG1_J2KI.dcm"
    if not path.is_file():
        pytest.skip(f"the sample is not at {path.parent}")
    analysis = analysed(path, finding((300.5, 900.25, 800.75, 1500.5), size=UNKNOWN_SIZE))
    for file in _written(path, analysis, tmp_path).values():
        validate(file)


def test_dicom_validator_finds_no_error(files: dict[str, Path], tmp_path: Path) -> None:
    if not (DICOM_STANDARD / "editions.json").is_file():
        pytest.skip(f"dicom-validator has no edition of the standard at {DICOM_STANDARD}, and would download one")
    program = shutil.which("validate_iods", path=str(Path(sys.executable).parent))
    assert program, "dicom-validator is installed with the extra dev"
    for name, path in files.items():
        written = _written(path, analysed(path, *_findings(spacing=name != "film scan")), tmp_path)
        command = [program, "--edition", "local", "--standard-path", DICOM_STANDARD, *written.values()]
        judged = subprocess.run(command, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout


def _box_of(group: Dataset) -> np.ndarray[Any, Any]:
    (item,) = [
        item for item in group[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "detection-box"
    ]
    return np.array(item.GraphicData).reshape(-1, 2)


def _texts(dataset: Dataset) -> set[str]:
    """Every text and UID."""
    return {str(element.value) for element in dataset.iterall() if element.VR in ("UT", "UI", "ST", "LT", "LO")}


def _coded(report: Dataset) -> dict[str, str]:
    """Names and values of every code item of a tree."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeMeaning
        for element in report.iterall()
        if element.keyword == "ContentSequence"
        for item in element.value
        if item.ValueType == "CODE"
    }


def _raw(path: Path) -> dict[str, bytes]:
    """Values as they lie in a file."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    return {
        pydicom.datadict.keyword_for_tag(tag): (element.value or b"").rstrip(b" ")
        for tag in dataset.keys()  # noqa: SIM118 (iterating decodes)
        if isinstance(element := dataset.get_item(tag), RawDataElement) and isinstance(element.value, bytes | None)
    }
