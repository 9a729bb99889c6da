"""Mammograms and analyses made up for the writers' tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from mammoscope.findings import (
    Analysis,
    Box,
    BundleIdentity,
    Finding,
    InputFacts,
    Size,
    SpacingFacts,
    Thresholds,
)
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing

STATEMENTS = {
    "findings": "1 finding.",
    "no_finding": "No finding: nothing reaches the threshold.",
    "no_breast_found": "No breast was found.",
}


def mammogram(rows: int = 1200, columns: int = 900, **changes: Any) -> Mammogram:
    """A right CC view of 0.1 mm pixels: a grey half ellipse at the right border of a black image."""
    y, x = np.mgrid[0:rows, 0:columns]
    inside = ((y - rows / 2) / (0.4 * rows)) ** 2 + ((columns - x) / (0.6 * columns)) ** 2 < 1
    facts: dict[str, Any] = {
        "pixels": np.where(inside, 26000, 0).astype(np.uint16),
        "name": "exam-R-CC",
        "sha256": "ab" * 32,
        "file_format": "DICOM",
        "bits": 12,
        "laterality": Laterality.RIGHT,
        "view": "CC",
        "spacing": PixelSpacing(0.1, 0.1, "ImagerPixelSpacing"),
    }
    return Mammogram(**{**facts, **changes})


def finding(
    box: tuple[float, float, float, float],
    malignancy_score: float = 0.81,
    detection_score: float = 0.64,
    **changes: Any,
) -> Finding:
    """A finding whose outline is the ellipse in its box."""
    x0, y0, x1, y1 = box
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = (x0 + x1) / 2 + 0.45 * (x1 - x0) * np.cos(angle)
    y = (y0 + y1) / 2 + 0.45 * (y1 - y0) * np.sin(angle)
    facts: dict[str, Any] = {
        "box": Box(x0=x0, y0=y0, x1=x1, y1=y1),
        "outline": tuple(zip(x.tolist(), y.tolist(), strict=True)),
        "detection_score": detection_score,
        "malignancy_score": malignancy_score,
        "malignancy": "malignant" if malignancy_score >= 0.5 else "benign",
        "size": Size(area_mm2=120.4, longest_diameter_mm=15.26),
    }
    return Finding(**{**facts, **changes})


def analysis(image: Mammogram, *findings: Finding, outcome: str | None = None) -> Analysis:
    """What an analysis of ``image`` would say."""
    outcome = outcome or ("findings" if findings else "no_finding")
    spacing = image.spacing
    return Analysis.model_validate(
        {
            "software": "mammoscope 0.1.0",
            "outcome": outcome,
            "statement": STATEMENTS[outcome],
            "input": InputFacts(
                name=image.name,
                sha256=image.sha256,
                file_format=image.file_format,
                rows=image.height,
                columns=image.width,
                bits=image.bits,
                laterality=image.laterality,
                view=image.view,
                spacing=SpacingFacts(row_mm=spacing.row_mm, column_mm=spacing.column_mm, source=spacing.source)
                if spacing
                else None,
                pixel_aspect=image.pixel_aspect,
                sop_instance_uid="1.2.3",
                modality="MG",
                manufacturer=None,
            ),
            "bundle": BundleIdentity(name="default", version="1.0", sha256="cd" * 32),
            "thresholds": Thresholds(detection=0.3, malignancy=0.5),
            "findings": findings,
            "warnings": image.warnings,
            "seconds": {"detect": 0.25},
        }
    )
