"""``analyze --fhir``: valid resources that say what the analysis says, and whom it is about to nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_checks import COLUMNS, ROWS, VARIANTS, analysed, write_variant
from fhir.resources.bundle import Bundle
from made_analyses import finding

from mammoscope import NOTICE
from mammoscope.example.exam import write_view
from mammoscope.findings import Analysis, Size
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, dicom_results
from mammoscope.writers.fhir import fhir_bundle, write_fhir

UNKNOWN_SIZE = Size(area_mm2=None, longest_diameter_mm=None, unknown_because="the file does not say the pixel spacing")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The left CC view of a small phantom."""
    path = tmp_path_factory.mktemp("image") / "image.dcm"
    write_view(path, 1, 0, ROWS, COLUMNS)
    return path


def _bundle(path: Path, analysis: Analysis, folder: Path) -> dict[str, Any]:
    """As written, and valid by the models of the FHIR R5 specification; every reference leads to an entry."""
    write_fhir(analysis, read_origin(path, analysis), folder / "x.fhir.json")
    bundle: dict[str, Any] = json.loads((folder / "x.fhir.json").read_text(encoding="utf-8"))
    Bundle.model_validate(bundle)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    references = _references(bundle["entry"])
    assert references <= set(urls) and references | {urls[0]} == set(urls), "the report is first, and all hang on it"
    return bundle


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node))
    if isinstance(node, dict):
        own = {node["reference"]} if "reference" in node else set()
        return own.union(*map(_references, node.values()))
    return set()


def test_the_resources_say_what_the_analysis_says(image: Path, tmp_path: Path) -> None:
    analysis = analysed(
        image,
        finding((100.25, 120.5, 180.75, 230.0), 0.81, 0.64),
        finding((250.0, 20.0, 300.0, 60.0), 0.1, outline=(), size=UNKNOWN_SIZE),
    )
    bundle = _bundle(image, analysis, tmp_path)
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    report = bundle["entry"][0]["resource"]
    assert report["resourceType"] == "DiagnosticReport" and report["status"] == "preliminary"
    assert report["conclusion"] == analysis.statement and NOTICE in report["text"]["div"]
    *groups, summary = (by_url[one["reference"]] for one in report["result"])
    assert _display(summary["valueCodeableConcept"]) == "All algorithms succeeded; with findings"
    source, tracked = pydicom.dcmread(image), dicom_results(analysis, image, [ResultKind.SEG])[ResultKind.SEG]
    assert groups[0]["identifier"][1]["value"] == f"urn:oid:{tracked.SegmentSequence[0].TrackingUID}"
    for group, expected in zip(groups, analysis.findings, strict=True):
        assert _display(group["valueCodeableConcept"]) == "Mass" and _display(group["bodySite"]) == "Left breast"
        members = {_display(one["code"]): one for one in (by_url[each["reference"]] for each in group["hasMember"])}
        assert members["Certainty of Finding"]["valueQuantity"]["value"] == 100 * expected.detection_score
        assert members["Probability of cancer"]["valueQuantity"]["value"] == 100 * expected.malignancy_score
        evaluated = members["Class by malignancy threshold"]["valueCodeableConcept"]
        assert _display(evaluated) == f"{expected.malignancy.capitalize()} appearance"
        for name, value, unit in (("Long axis", 15.26, "mm"), ("Area", 120.4, "mm2")):
            if expected.outline:
                assert members[name]["valueQuantity"] == {
                    "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit,
                }  # fmt: skip
            else:
                assert members[name]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
        places = [by_url[one["reference"]] for one in group["derivedFrom"]]
        box = expected.box
        corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
        shapes = [*([expected.outline] if expected.outline else []), corners]
        assert len(places) == len(shapes)
        for place, shape in zip(places, shapes, strict=True):
            (instance,) = place["instance"]
            assert instance["uid"] == source.SOPInstanceUID and place["seriesUid"] == source.SeriesInstanceUID
            (region,) = instance["imageRegion2D"]
            assert np.allclose(np.reshape(region["coordinate"], (-1, 2)), [*shape, shape[0]])


@pytest.mark.parametrize("outcome", ["no_finding", "no_breast_found"])
def test_without_findings_the_report_says_so(outcome: str, image: Path, tmp_path: Path) -> None:
    bundle = _bundle(image, analysed(image, outcome=outcome), tmp_path)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["DiagnosticReport", "Observation", "Device"]


@pytest.mark.parametrize("name", ["much", "japanese", "bare", "film scan"])
def test_no_patient_and_no_date_is_named(name: str, image: Path, tmp_path: Path) -> None:
    path = write_variant(image, tmp_path / "image.dcm", VARIANTS[name])
    source = pydicom.dcmread(path)
    analysis = analysed(path, finding((50, 50, 90, 90), size=UNKNOWN_SIZE))
    written = json.dumps(_bundle(path, analysis, tmp_path), ensure_ascii=False)
    for keyword in ("PatientName", "PatientID", "PatientComments", "StudyDate", "StudyDescription"):
        value = str(source.get(keyword, ""))
        assert not value or value not in written, keyword
    assert '"subject"' not in written and "SECRET" not in written


def test_the_same_analysis_has_the_same_resources(image: Path) -> None:
    analysis = analysed(image, finding((50, 50, 90, 90)))
    first, again = (fhir_bundle(analysis, read_origin(image, analysis)) for _ in range(2))
    assert first == again
    other = analysis.above(0.31)
    urls = {entry["fullUrl"] for entry in fhir_bundle(other, read_origin(image, other))["entry"]}
    assert not urls & {entry["fullUrl"] for entry in first["entry"]}


def _display(concept: dict[str, Any]) -> str:
    return str(concept["coding"][0]["display"])
