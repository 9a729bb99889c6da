"""Rows of an archive's tables. They hold no name, ID or date of a patient, and no path unless one is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from mammoscope.exam_report import HighestScores, report_on
from mammoscope.findings import Analysis, Finding

Row = dict[str, Any]


def digest(text: str) -> str:
    """Hex SHA-256 of a text, its first half: as unlikely to be shared as a UUID."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def exam_id(images: Sequence[str]) -> str:
    """The name of an exam, from the hashes of its images in any order."""
    return digest(" ".join(sorted(images)))


def image_row(analysis: Analysis, exam: str, source_key: str, source: str | None) -> Row:
    """The row of one analysis in ``images``."""
    facts, uid = analysis.input, analysis.input.sop_instance_uid
    return {
        "image": facts.sha256,
        "exam": exam,
        "source_key": source_key,
        "source": source,
        "sop_uid_sha256": None if uid is None else hashlib.sha256(uid.encode()).hexdigest(),
        "outcome": analysis.outcome,
        "findings": len(analysis.findings),
        **_highest(HighestScores.of(analysis.findings)),
        "laterality": None if facts.laterality is None else str(facts.laterality),
        "view": facts.view,
        "file_format": facts.file_format,
        "rows": facts.rows,
        "columns": facts.columns,
        "bits": facts.bits,
        "row_spacing_mm": facts.spacing and facts.spacing.row_mm,
        "column_spacing_mm": facts.spacing and facts.spacing.column_mm,
        "spacing_source": facts.spacing and facts.spacing.source,
        "pixel_aspect": facts.pixel_aspect,
        "modality": facts.modality,
        "manufacturer": facts.manufacturer,
        "warnings": list(analysis.warnings),
        "seconds": list(analysis.seconds.items()),
        "software": analysis.software,
        "bundle_name": analysis.bundle.name,
        "bundle_version": analysis.bundle.version,
        "bundle_sha256": analysis.bundle.sha256,
        "detection_threshold": analysis.thresholds.detection,
        "malignancy_threshold": analysis.thresholds.malignancy,
    }


def finding_rows(analysis: Analysis, exam: str) -> list[Row]:
    """The rows of one analysis in ``findings``."""
    return [
        _finding_row(finding, number, analysis.input.sha256, exam)
        for number, finding in enumerate(analysis.findings, start=1)
    ]


def _finding_row(finding: Finding, number: int, image: str, exam: str) -> Row:
    return {
        "image": image,
        "exam": exam,
        "number": number,
        "kind": finding.kind,
        **finding.box.model_dump(),
        "outline_x": [x for x, _ in finding.outline],
        "outline_y": [y for _, y in finding.outline],
        "detection_score": finding.detection_score,
        "malignancy_score": finding.malignancy_score,
        "malignancy": finding.malignancy,
        "area_mm2": finding.size.area_mm2,
        "longest_diameter_mm": finding.size.longest_diameter_mm,
        "lesion": finding.lesion,
    }


def exam_row(analyses: Sequence[Analysis], exam: str, not_analysed: int | None) -> Row:
    """The row of an exam, of one image or several: what ``EXAM.exam.json`` says of it, in short."""
    report = report_on([(analysis.input.sha256, analysis) for analysis in analyses], not_analysed=not_analysed)
    return {
        "exam": exam,
        "images": [view.report for view in report.views],
        "views": [
            f"{view.laterality.value[0] if view.laterality else '?'} {view.view or '?'}" for view in report.views
        ],
        "not_analysed": not_analysed,
        "findings": sum(view.findings for view in report.views),
        "lesions": len(report.lesions),
        **_highest(report.highest),
        "warnings": list(report.warnings),
    }


def error_row(source_key: str, source: str | None, kind: str, problem: str, image: str | None = None) -> Row:
    """A row of ``errors``."""
    return {"source_key": source_key, "source": source, "kind": kind, "problem": problem, "image": image}


def _highest(scores: HighestScores) -> Row:
    return {
        "highest_detection_score": scores.detection_score,
        "highest_malignancy_score": scores.malignancy_score,
    }
