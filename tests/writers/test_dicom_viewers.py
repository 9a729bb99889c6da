"""The presentation state and the Mammography CAD SR: what viewers and stations that read nothing else are told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_checks import COLUMNS, ROWS, analysed, validate, write_variant
from made_analyses import finding
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import MammographyCADSRStorage

from mammoscope import NOTICE
from mammoscope.example.exam import write_view
from mammoscope.findings import Analysis
from mammoscope.kinds import KINDS
from mammoscope.writers.dicom.results import ResultKind, dicom_results, result_path, write_result


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The left CC view of a small phantom."""
    path = tmp_path_factory.mktemp("image") / "image.dcm"
    write_view(path, 1, 0, ROWS, COLUMNS)
    return path


def _made(path: Path, analysis: Analysis, kind: ResultKind, folder: Path) -> Dataset:
    """A result, written, judged and read again."""
    (result,) = dicom_results(analysis, path, [kind]).values()
    written = result_path(folder / "written", kind)
    write_result(written, result)
    validate(written)
    return pydicom.dcmread(written)


def test_the_state_draws_what_the_overlay_draws(image: Path, tmp_path: Path) -> None:
    analysis = analysed(
        image,
        finding((100.25, 120.5, 180.75, 230.0), 0.81, 0.64),
        finding((250.0, -0.5, COLUMNS + 0.5, 60.0), 0.1, 0.4, outline=()),
        finding((30.0, 30.0, 60.0, 60.0), 0.2, 0.3, kind="calcification"),
    )
    state = _made(image, analysis, ResultKind.GSPS, tmp_path)
    assert [layer.GraphicLayer for layer in state.GraphicLayerSequence] == ["MALIGNANT", "BENIGN", "STATEMENT"]
    said, *drawn = state.GraphicAnnotationSequence
    assert [item.UnformattedTextValue for item in said.TextObjectSequence] == [analysis.statement, NOTICE]
    assert [item.GraphicLayer for item in drawn] == ["MALIGNANT", "BENIGN", "BENIGN"]
    assert [item.TextObjectSequence[0].UnformattedTextValue for item in drawn] == [
        "1: malignancy 81%, mass 0.64", "2: malignancy 10%, mass 0.40", "3: malignancy 20%, calcification 0.30",
    ]  # fmt: skip
    shapes = [[np.reshape(item.GraphicData, (-1, 2)) for item in each.GraphicObjectSequence] for each in drawn]
    # No outline where none was found, nor through a cluster.
    assert [len(shape) for shape in shapes] == [2, 1, 1]
    box, outline = shapes[0]
    assert np.allclose(box, [(100.25, 120.5), (180.75, 120.5), (180.75, 230), (100.25, 230), (100.25, 120.5)])
    assert np.allclose(outline, [*analysis.findings[0].outline, analysis.findings[0].outline[0]], atol=0.01)
    assert shapes[1][0].min() >= 0 and shapes[1][0].max(axis=0).tolist() == [COLUMNS, 60]
    units = {item.GraphicAnnotationUnits for each in drawn for item in each.GraphicObjectSequence}
    assert units == {"PIXEL"}
    tracked = _made(image, analysis, ResultKind.SEG, tmp_path).SegmentSequence[0].TrackingUID
    assert {item.TrackingUID for item in drawn[0].GraphicObjectSequence} == {tracked}


def test_a_lesion_of_several_views_has_one_uid_in_the_results_of_each(image: Path, tmp_path: Path) -> None:
    uid, box = "2.25.123456789", (100.0, 120.0, 180.0, 230.0)
    analysis = analysed(image, finding(box, lesion=uid), finding((30.0, 30.0, 60.0, 60.0)))
    segments = _made(image, analysis, ResultKind.SEG, tmp_path).SegmentSequence
    assert (segments[0].TrackingUID, segments[0].TrackingID) == (uid, "mammoscope lesion 6789")
    assert segments[1].TrackingID == "mammoscope finding 2" and segments[1].TrackingUID != uid
    _, *drawn = _made(image, analysis, ResultKind.GSPS, tmp_path).GraphicAnnotationSequence
    assert {item.TrackingUID for item in drawn[0].GraphicObjectSequence} == {uid}
    _made(image, analysis, ResultKind.SR, tmp_path)
    report = hd.sr.srread(result_path(tmp_path / "written", ResultKind.SR))
    assert isinstance(report.content, hd.sr.MeasurementReport)
    groups = report.content.get_planar_roi_measurement_groups()
    assert [str(group.tracking_uid) for group in groups] == [str(one.TrackingUID) for one in segments]


def _inverted(dataset: Dataset) -> None:
    dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME1", "INVERSE"


def _rescaled(dataset: Dataset) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "2", "-100", "US"
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = ["1000", "900"], ["800", "1"], "SIGMOID"


def _table(first: int) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [256, first, 12])
        item.add_new("LUTData", "US", list(range(0, 4096, 16)))
        dataset.VOILUTSequence = [item]

    return change


def _cut_table(dataset: Dataset) -> None:
    _table(0)(dataset)
    dataset.VOILUTSequence[0].LUTData = [0, 1, 2]


def _no_window(dataset: Dataset) -> None:
    del dataset.WindowCenter, dataset.WindowWidth


@pytest.mark.parametrize(
    ("change", "shape", "rescale", "voi"),
    [
        (lambda dataset: None, "IDENTITY", None, ("2048.0", "4096.0", None)),
        (_inverted, "INVERSE", None, ("2048.0", "4096.0", None)),
        (_rescaled, "IDENTITY", ("2.0", "-100.0"), ("1000.0", "800.0", "SIGMOID")),
        (_table(0), "IDENTITY", None, [256, 0, 16]),
        (_table(-40), "IDENTITY", None, [256, -40, 16]),
        (_cut_table, "IDENTITY", None, ("2048.0", "4096.0", None)),
        (_no_window, "IDENTITY", None, None),
    ],
)
def test_the_state_shows_the_image_as_its_file_says(
    change: Callable[[Dataset], None], shape: str, rescale: Any, voi: Any, image: Path, tmp_path: Path
) -> None:
    path = write_variant(image, tmp_path / "image.dcm", change)
    state = _made(path, analysed(path), ResultKind.GSPS, tmp_path)
    assert state.PresentationLUTShape == shape
    assert rescale == ((str(state.RescaleSlope), str(state.RescaleIntercept)) if "RescaleSlope" in state else None)
    shown = list(state.get("SoftcopyVOILUTSequence", ()))
    if isinstance(voi, list):
        (table,) = shown[0].VOILUTSequence
        assert list(table.LUTDescriptor) == voi
        # The file's twelve bits, in the sixteen that a presentation state may have.
        assert np.allclose(np.frombuffer(table.LUTData, "<u2") / 65535, np.arange(0, 4096, 16) / 4095, atol=1e-4)
    else:
        stated = [(str(item.WindowCenter), str(item.WindowWidth), item.get("VOILUTFunction")) for item in shown]
        assert stated == ([] if voi is None else [voi])


@pytest.mark.parametrize("change", [lambda dataset: None, _inverted, _table(0)], ids=["window", "inverted", "table"])
def test_a_foreign_viewer_shows_the_image_with_the_state_as_without(
    change: Callable[[Dataset], None], image: Path, tmp_path: Path
) -> None:
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("needs dcmp2pgm (Debian: dcmtk)")
    path = write_variant(image, tmp_path / "image.dcm", change)
    _made(path, analysed(path, finding((30, 30, 60, 60))), ResultKind.GSPS, tmp_path)
    shown = []
    for name, options in (("with", ("-p", tmp_path / "written.gsps.dcm")), ("without", ())):
        picture = tmp_path / f"{name}.pgm"
        subprocess.run(["dcmp2pgm", *options, path, picture], capture_output=True, check=True)
        shown.append(np.asarray(Image.open(picture), dtype=int))
    assert shown[0].shape == (ROWS, COLUMNS) and shown[0].std() > 10
    assert np.abs(shown[0] - shown[1]).max() <= 1


def test_the_state_keeps_the_true_proportions(image: Path, tmp_path: Path) -> None:
    def oblong(dataset: Dataset) -> None:
        dataset.ImagerPixelSpacing = ["0.2", "0.1"]

    path = write_variant(image, tmp_path / "image.dcm", oblong)
    (area,) = _made(path, analysed(path), ResultKind.GSPS, tmp_path).DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelAspectRatio) == [2000, 1000]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [COLUMNS, ROWS]


def test_the_cad_report_follows_its_template(image: Path, tmp_path: Path) -> None:
    analysis = analysed(
        image, finding((100.25, 120.5, 180.75, 230.0), 0.81, 0.64), finding((250.0, 20.0, 300.0, 60.0), outline=())
    )
    report = _made(image, analysis, ResultKind.CAD, tmp_path)
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == MammographyCADSRStorage
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "4000"
    assert [_name(item) for item in report.ContentSequence] == [
        "Language of Content Item and Descendants", "Image Library", "CAD Processing and Findings Summary",
        "Summary of Detections", "Summary of Analyses",
    ]  # fmt: skip
    _, library, summary, detections, analyses = report.ContentSequence
    (entry,) = library.ContentSequence
    assert entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(image).SOPInstanceUID
    known = {_name(item): _value(item) for item in entry.ContentSequence}
    assert known["Image Laterality"] == "Left breast" and known["Image View"] == "cranio-caudal"
    assert known["Study Date"] == "20000101" and known["Patient Orientation Row"] == "A"
    assert _value(summary) == "All algorithms succeeded; with findings" and _value(detections) == "Succeeded"
    assert _value(analyses) == "Not Attempted"
    found = [item for item in summary.ContentSequence if item.RelationshipType == "INFERRED FROM"]
    assert len(found) == 2
    for impression, expected in zip(found, analysis.findings, strict=True):
        intent, single = impression.ContentSequence
        assert _value(intent).startswith("Presentation Required")
        assert (_name(single), _value(single)) == ("Single Image Finding", "Mammography breast density")
        stated = {_name(item): item for item in single.ContentSequence}
        certainty, cancer = (
            float(stated[name].MeasuredValueSequence[0].NumericValue)
            for name in ("Certainty of Finding", "Probability of cancer")
        )
        assert (certainty, cancer) == pytest.approx((100 * expected.detection_score, 100 * expected.malignancy_score))
        box = expected.box
        assert list(stated["Center"].GraphicData) == [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]
        assert ("Outline" in stated) == bool(expected.outline), "a box is no outline"
        for name in {"Center", "Outline"} & stated.keys():
            (source,) = stated[name].ContentSequence
            assert list(source.ReferencedContentItemIdentifier) == [1, 2, 1], "the entry of the Image Library"
    outline = np.reshape(
        next(item for item in found[0].ContentSequence[1].ContentSequence if _name(item) == "Outline").GraphicData,
        (-1, 2),
    )
    assert np.allclose(outline[:-1], analysis.findings[0].outline, atol=0.01)


@pytest.mark.parametrize(
    ("outcome", "summary", "detections"),
    [
        ("no_finding", "All algorithms succeeded; without findings", "Succeeded"),
        ("no_breast_found", "No algorithms succeeded; without findings", "Failed"),
    ],
)
def test_a_cad_report_without_findings_says_so(
    outcome: str, summary: str, detections: str, image: Path, tmp_path: Path
) -> None:
    report = _made(image, analysed(image, outcome=outcome), ResultKind.CAD, tmp_path)
    assert [_value(item) for item in report.ContentSequence[2:4]] == [summary, detections]
    (container,) = report.ContentSequence[3].ContentSequence
    assert _name(container) == ("Successful Detections" if detections == "Succeeded" else "Failed Detections")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_cad_report_names_every_kind(kind: Any, image: Path, tmp_path: Path) -> None:
    report = _made(image, analysed(image, finding((30, 30, 60, 60), kind=kind.name)), ResultKind.CAD, tmp_path)
    performed = [_value(item) for item in report.ContentSequence[3].ContentSequence[0].ContentSequence]
    assert kind.cad_code is not None and kind.cad_code.meaning in performed


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _value(item: Dataset) -> str:
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    return str(item.get({"DATE": "Date", "TEXT": "TextValue"}.get(item.ValueType, "Time")))
