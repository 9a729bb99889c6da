"""From a mammogram to outlined, scored masses: the whole story on one screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mammoscope import __version__
from mammoscope.bundle import Bundle
from mammoscope.findings import Analysis, Box, Finding, InputFacts, Thresholds, outcome_of, statement_of
from mammoscope.mammogram import Mammogram
from mammoscope.stages.measure import mass_outline, measure_mass
from mammoscope.stages.preprocess import Preprocessed, preprocess
from mammoscope.stages.roi import cut_rois
from mammoscope.stopwatch import Stopwatch

Progress = Callable[[str, float], object]

STAGES = ("preprocess", "detect", "segment", "classify")


class Examination(NamedTuple):
    """An analysis and the breast as it was prepared for it; None where no breast was found."""

    analysis: Analysis
    prepared: Preprocessed | None


def analyze(mammogram: Mammogram, bundle: Bundle, *, threshold: float | None = None) -> Analysis:
    """Find, outline and grade the masses of a mammogram.

    Parameters
    ----------
    mammogram
        One view, as a reader gives it.
    bundle
        The models.
    threshold
        Detection score from which regions are reported, in [0, 1]; None takes the bundle's, which was chosen on
        validation patients.

    Returns
    -------
    Analysis
        Boxes and outlines are in pixels of the original image.
    """
    return examine(mammogram, bundle, threshold=threshold).analysis


def examine(
    mammogram: Mammogram, bundle: Bundle, *, threshold: float | None = None, progress: Progress | None = None
) -> Examination:
    """As ``analyze``, and keep the prepared breast for those who want to see it.

    ``progress`` is called as each of ``STAGES`` begins, with its name and the share of them that is done.
    """

    def began(stage: str) -> None:
        if progress is not None:
            progress(stage, STAGES.index(stage) / len(STAGES))

    models, watch = bundle.manifest, Stopwatch(began)
    limits = Thresholds(
        detection=models.detector.threshold if threshold is None else threshold,
        malignancy=models.classifier.threshold,
    )
    with watch.time("preprocess"):
        breast = preprocess(mammogram, models.preprocess)
    findings: list[Finding] = []
    if breast is not None:
        with watch.time("detect"):
            regions = bundle.detector.detect(breast).above(limits.detection)
        with watch.time("segment"):
            rois = cut_rois(breast, regions.boxes)
            masks = bundle.segmenter.segment(rois)
        with watch.time("classify"):
            malignancy = bundle.classifier.classify(rois, masks)
        to_original = breast.from_original.inverse()
        for number, box in enumerate(to_original.boxes(regions.boxes)):
            from_roi = rois.from_preprocessed[number].inverse().then(to_original)
            outline = from_roi.points(mass_outline(masks.probabilities[number], masks.threshold))
            outline = np.clip(outline, 0, [mammogram.width, mammogram.height])
            findings.append(
                Finding(
                    box=Box.of(box),
                    outline=tuple((round(x, 2), round(y, 2)) for x, y in outline.tolist()),
                    detection_score=float(regions.scores[number]),
                    malignancy_score=float(malignancy[number]),
                    malignancy="malignant" if malignancy[number] >= limits.malignancy else "benign",
                    size=measure_mass(outline, mammogram.spacing),
                )
            )
    analysis = Analysis(
        software=f"mammoscope {__version__}",
        outcome=outcome_of(findings, breast_found=breast is not None),
        statement=statement_of(findings, limits.detection, breast_found=breast is not None),
        input=InputFacts.of(mammogram),
        bundle=bundle.identity,
        thresholds=limits,
        findings=tuple(findings),
        warnings=mammogram.warnings,
        seconds=watch.seconds,
    )
    return Examination(analysis, breast)
