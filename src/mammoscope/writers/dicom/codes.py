"""The codes in DICOM results, and the private scheme for concepts that no public one has.

``docs/dicom-results.md`` lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammoscope.findings import Finding, Outcome
from mammoscope.kinds import GRADES, UNGRADED, Coded, kind_named
from mammoscope.mammogram import Laterality

PRIVATE = "99MAMMOSCOPE"


def private_scheme() -> CodingSchemeIdentificationItem:
    """The item that identifies the private scheme and who is responsible for it (PS3.3 C.12.1.1.17)."""
    return CodingSchemeIdentificationItem(
        PRIVATE, name="mammoscope result concepts", version="1", responsible_organization="mammoscope"
    )


def coded(concept: Coded) -> Code:
    """A concept of the table of kinds, as pydicom and highdicom take it."""
    return Code(concept.value, concept.scheme, concept.meaning)


DETECTION_BOX = Code("detection-box", PRIVATE, "Detection box")
NOTICE_OF_USE = Code("notice-of-use", PRIVATE, "Notice of use")
NOTE_ON_IMAGE = Code("note-on-image", PRIVATE, "Note on the image")
MALIGNANCY_CLASS = Code("malignancy-class", PRIVATE, "Class by malignancy threshold")
CLASSES = {grade.name: Code(grade.name, PRIVATE, f"{grade.name.capitalize()} appearance") for grade in GRADES}
NOT_GRADED = Code(UNGRADED.name, PRIVATE, "Not graded")
# What a part of an exam's report is about, and what it counts.
EXAM_LEVEL = Code("exam", PRIVATE, "Exam")
BREAST_LEVEL = Code("breast", PRIVATE, "Breast")
VIEW_LEVEL = Code("view", PRIVATE, "View")
LESION_LEVEL = Code("lesion", PRIVATE, "Lesion that several views show")
FINDING_COUNT = Code("finding-count", PRIVATE, "Number of findings")


def class_of(malignancy: Literal["malignant", "benign"] | None) -> Code:
    """The code of a class by the malignancy threshold, or that there is none."""
    return NOT_GRADED if malignancy is None else CLASSES[malignancy]


def features_of(finding: Finding) -> list[tuple[Code, Code]]:
    """What a finding is described by, where the table of kinds has a code for it: name and value of each feature."""
    described = []
    for feature in kind_named(finding.kind).features:
        value = feature.coded(finding.features.get(feature.name, ""))
        if value is not None:
            described.append((coded(feature.code), coded(value)))
    return described


ENGLISH = CodedConcept("en", "RFC5646", "English")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
SOURCE = Code("260753009", "SCT", "Source")
BREAST = codes.SCT.Breast
SEGMENTATION = codes.DCM.SegmentationImageDerivation
ABNORMAL_STRUCTURE = codes.cid7150.MorphologicallyAbnormalStructure
IMAGING_PROCEDURE = codes.cid100.ImagingProcedure  # CID 100 has no code for mammography; the modality states it
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
# Not pydicom's, whose meaning holds an invisible space.
INDIVIDUAL_IMPRESSION = Code("111034", "DCM", "Individual Impression/Recommendation")
UNKNOWN = codes.SCT.Unknown
DETECTION_SCORE = codes.DCM.CertaintyOfFinding
MALIGNANCY_PROBABILITY = codes.DCM.ProbabilityOfCancer
UNITS = {"mm": codes.UCUM.Millimeter, "mm2": codes.UCUM.SquareMillimeter}
SUMMARIES: Mapping[Outcome, Code] = {
    "findings": codes.DCM.AllAlgorithmsSucceededWithFindings,
    "no_finding": codes.DCM.AllAlgorithmsSucceededWithoutFindings,
    "no_breast_found": codes.DCM.NoAlgorithmsSucceededWithoutFindings,
}
_NOT_OF_ALL: Mapping[Outcome, Code] = {
    "findings": codes.DCM.NotAllAlgorithmsSucceededWithFindings,
    "no_finding": codes.DCM.NotAllAlgorithmsSucceededWithoutFindings,
}
MODALITIES = {
    "MG": codes.cid33.Mammography,
    "RG": codes.cid33.RadiographicImaging,
    "CR": codes.cid33.ComputedRadiography,
    "DX": codes.cid33.DigitalRadiography,
}
OTHER_MODALITY = codes.cid33.Other
BREASTS = {Laterality.LEFT: codes.SCT.LeftBreast, Laterality.RIGHT: codes.SCT.RightBreast}
SIDES = {Laterality.LEFT: codes.SCT.Left, Laterality.RIGHT: codes.SCT.Right}
# The short names of PS3.3 C.8.11.7; CID 4014, and for the views that it lacks the modifiers of CID 4015.
VIEWS = {
    "ML": codes.cid4014.MedioLateralProjection,
    "MLO": codes.cid4014.MedioLateralObliqueProjection,
    "LM": codes.cid4014.LateroMedial,
    "LMO": codes.cid4014.LateroMedialOblique,
    "CC": codes.cid4014.CranioCaudal,
    "FB": codes.cid4014.CaudoCranial,
    "SIO": codes.cid4014.SuperolateralToInferomedialOblique,
    "ISO": codes.cid4014.InferomedialToSuperolateralOblique,
    "XCCL": codes.cid4014.CranioCaudalExaggeratedLaterally,
    "XCCM": codes.cid4014.CranioCaudalExaggeratedMedially,
    "XCC": codes.SCT.ExaggeratedCranioCaudalProjection,
    "AT": codes.cid4015.AxillaryTail,
    "CV": codes.cid4015.Cleavage,
    "TAN": codes.cid4015.Tangential,
    "SPECIMEN": codes.cid4014.TissueSpecimenFromBreast,
}


def exam_summary(outcomes: Sequence[Outcome], not_analysed: int | None) -> Code:
    """The outcome of an exam from those of its images, and how many could not be analysed; None: not known."""
    if all(outcome == "no_breast_found" for outcome in outcomes):
        return SUMMARIES["no_breast_found"]
    is_whole = not not_analysed and "no_breast_found" not in outcomes
    return (SUMMARIES if is_whole else _NOT_OF_ALL)["findings" if "findings" in outcomes else "no_finding"]
