"""The findings as FHIR R5 resources, mapped as HL7's guide for DICOM SR maps TID 1500 (hl7.fhir.uv.dicom-sr).

They name no patient and no date: ``docs/fhir.md`` lists what a sender fills in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammoscope.files import write_text
from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import kind_named
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.identity import MAKER, algorithm_parameters, algorithm_version, device_uid, tracking
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.shapes import closed, corners, outline_of

Resource = dict[str, Any]

_SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://terminology.hl7.org/CodeSystem/umls",
    concepts.PRIVATE: "urn:mammoscope:result-concepts",
}
_IDENTIFIERS = "http://hl7.org/fhir/uv/dicom-sr/CodeSystem/dicom-identifier-type"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_DICOM_UID = "urn:dicom:uid"
_STATUS = "preliminary"  # nobody has read it


def write_fhir(analysis: Analysis, origin: Origin, path: Path) -> None:
    """Write ``fhir_bundle`` as indented JSON, whole or not at all.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    write_text(path, json.dumps(fhir_bundle(analysis, origin), indent=2, ensure_ascii=False) + "\n")


def fhir_bundle(analysis: Analysis, origin: Origin) -> Resource:
    """An analysis as a Bundle of type ``collection``: a DiagnosticReport and what it refers to.

    For each finding there are an Observation of the finding, one for each of its numbers and its class, and an
    ImagingSelection of its outline and of its box, in (column, row) pixels of the image: the frame ``original``. The
    same analysis always gives the same resources, with the identifiers of the DICOM results.
    """
    made = _Made(analysis, origin)
    device = made.add("device", _device(analysis))
    groups = [_group(made, number, device) for number in range(1, len(analysis.findings) + 1)]
    summary = made.add(
        "summary",
        {
            **_observation(codes.DCM.CADProcessingAndFindingsSummary, device),
            "valueCodeableConcept": _concept(concepts.SUMMARIES[analysis.outcome]),
            "note": [{"text": text} for text in dict.fromkeys((*analysis.warnings, *origin.notes))],
        },
    )
    made.add("report", _report(analysis, [*groups, summary]))
    return {
        "resourceType": "Bundle",
        "meta": {"security": [{"system": _PURPOSES, "code": "HRESCH", "display": "healthcare research"}]},
        "type": "collection",
        "entry": list(reversed(made.entries)),
    }


class _Made:
    """The entries so far, each after those that it refers to."""

    def __init__(self, analysis: Analysis, origin: Origin) -> None:
        self.analysis, self.origin = analysis, origin
        self.entries: list[Resource] = []

    def add(self, name: str, resource: Resource) -> Resource:
        """Add a resource under the name that its URL is computed from; gives the reference to it."""
        url = f"urn:uuid:{UUID(int=int(self.origin.uid('fhir', name).rpartition('.')[2]))}"
        self.entries.append({"fullUrl": url, "resource": {key: value for key, value in resource.items() if value}})
        return {"reference": url}


def _report(analysis: Analysis, results: Sequence[Resource]) -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": _narrative(analysis)},
        "status": _STATUS,
        "code": _concept(codes.DCM.ImagingMeasurementReport),
        "result": list(results),
        "note": [{"text": analysis.notice}],
        "conclusion": analysis.statement,
    }


def _narrative(analysis: Analysis) -> str:
    lines = "".join(f"<p>{escape(text)}</p>" for text in (analysis.notice, analysis.statement))
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _device(analysis: Analysis) -> Resource:
    """The software with its models: TID 4019."""
    return {
        "resourceType": "Device",
        "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{device_uid(analysis)}"}],
        "displayName": MAKER,
        "type": [_concept(codes.cid7162.ArtificialIntelligence)],
        "version": [{"value": algorithm_version(analysis)}],
        "property": [
            {"type": _concept(codes.DCM.AlgorithmParameters), "valueString": f"{name}={value}"}
            for name, value in algorithm_parameters(analysis).items()
        ],
    }


def _group(made: _Made, number: int, device: Resource) -> Resource:
    """TID 1410: a finding with its numbers, its class and its places."""
    finding, name = made.analysis.findings[number - 1], f"finding {number}"
    known = tracking(made.analysis, made.origin, number)
    side = made.analysis.input.laterality
    places = [made.add(f"{name} {what}", _selection(made, code, shape)) for what, code, shape in _shapes(finding)]
    members = [
        made.add(f"{name} {code.value}", {**_observation(code, device), **value, "derivedFrom": places})
        for code, value in _members(finding)
    ]
    return made.add(
        name,
        {
            **_observation(codes.DCM.MeasurementGroup, device),
            "identifier": [
                _identifier("tracking-id", known["identifier"]),
                {**_identifier("tracking-uid", f"urn:oid:{known['uid']}"), "system": _DICOM_UID},
            ],
            "valueCodeableConcept": _concept(concepts.coded(kind_named(finding.kind).code)),
            "bodySite": _concept(concepts.BREAST if side is None else concepts.BREASTS[side]),
            "hasMember": members,
            "derivedFrom": places,
        },
    )


def _shapes(finding: Finding) -> list[tuple[str, Code, NDArray[np.float64]]]:
    shapes = [("box", concepts.DETECTION_BOX, corners(finding.box))]
    return [("outline", codes.DCM.ImageRegion, outline_of(finding)), *shapes] if finding.outline else shapes


def _members(finding: Finding) -> list[tuple[Code, Resource]]:
    """Scores, sizes and class; a size that is not known says so."""
    numbers = [
        (concepts.DETECTION_SCORE, round(100 * finding.detection_score, 4), codes.UCUM.Percent),
        *(
            [(concepts.MALIGNANCY_PROBABILITY, round(100 * finding.malignancy_score, 4), codes.UCUM.Percent)]
            if finding.malignancy_score is not None
            else []
        ),
        *(
            (concepts.coded(measure.code), getattr(finding.size, measure.field), concepts.UNITS[measure.unit])
            for measure in kind_named(finding.kind).measures
        ),
    ]
    evaluations = [(concepts.MALIGNANCY_CLASS, concepts.class_of(finding.malignancy)), *concepts.features_of(finding)]
    category = [_concept(concepts.QUALITATIVE_EVALUATIONS)]
    return [
        *((code, _quantity(value, unit)) for code, value, unit in numbers),
        *((code, {"category": category, "valueCodeableConcept": _concept(value)}) for code, value in evaluations),
    ]


def _quantity(value: float | None, unit: Code) -> Resource:
    if value is None:
        return {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "unknown", "display": "Unknown"}]}}
    return {"valueQuantity": {"value": value, "unit": unit.value, "system": _SYSTEMS["UCUM"], "code": unit.value}}


def _observation(code: Code, device: Resource) -> Resource:
    return {"resourceType": "Observation", "status": _STATUS, "code": _concept(code), "device": device}


def _selection(made: _Made, code: Code, shape: NDArray[np.float64]) -> Resource:
    """A closed polygon in the image."""
    image = made.origin.image
    return {
        "resourceType": "ImagingSelection",
        "status": "available",
        "code": _concept(code),
        "studyUid": str(image.StudyInstanceUID),
        "seriesUid": str(image.SeriesInstanceUID),
        "instance": [
            {
                "uid": str(image.SOPInstanceUID),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{image.SOPClassUID}"},
                "imageRegion2D": [{"regionType": "polyline", "coordinate": closed(shape).ravel().tolist()}],
            }
        ],
    }


def _identifier(kind: str, value: str) -> Resource:
    return {"type": {"coding": [{"system": _IDENTIFIERS, "code": kind}]}, "value": value}


def _concept(code: Code) -> Resource:
    return {"coding": [{"system": _SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}]}
