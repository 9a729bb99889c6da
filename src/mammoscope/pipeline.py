"""From a mammogram to outlined, scored masses: the whole story on one screen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mammoscope import __version__
from mammoscope.bundle import Bundle
from mammoscope.findings import Analysis, InputFacts, SpacingFacts, Thresholds
from mammoscope.mammogram import Mammogram
from mammoscope.reporting import describe_finding, statement_of
from mammoscope.stages.preprocess import Preprocessed, preprocess
from mammoscope.stages.roi import cut_rois
from mammoscope.stages.segment import mass_outline
from mammoscope.stopwatch import Stopwatch


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


def examine(mammogram: Mammogram, bundle: Bundle, *, threshold: float | None = None) -> Examination:
    """As ``analyze``, and keep the prepared breast for those who want to see it."""
    models, watch = bundle.manifest, Stopwatch()
    operating_point = Thresholds(
        detection=models.detector.threshold if threshold is None else threshold,
        malignancy=models.classifier.threshold,
    )
    with watch.time("preprocess"):
        breast = preprocess(mammogram, models.preprocess)
    findings = []
    if breast is not None:
        with watch.time("detect"):
            regions = bundle.detector.detect(breast).above(operating_point.detection)
        with watch.time("segment"):
            rois = cut_rois(breast, regions.boxes)
            masks = bundle.segmenter.segment(rois)
            outlines = [mass_outline(probabilities, masks.threshold) for probabilities in masks.probabilities]
        with watch.time("classify"):
            malignancy = bundle.classifier.classify(rois, masks)
        to_original = breast.from_original.inverse()
        for number in np.argsort(-regions.scores, kind="stable"):
            from_roi = rois.from_preprocessed[number].inverse().then(to_original)
            findings.append(
                describe_finding(
                    box=to_original.boxes(regions.boxes[number])[0],
                    outline=from_roi.points(outlines[number]),
                    detection_score=float(regions.scores[number]),
                    malignancy_score=float(malignancy[number]),
                    malignancy_threshold=operating_point.malignancy,
                    mammogram=mammogram,
                )
            )
    outcome = "no_breast_found" if breast is None else "findings" if findings else "no_finding"
    analysis = Analysis(
        software=f"mammoscope {__version__}",
        outcome=outcome,
        statement=statement_of(outcome, len(findings), operating_point.detection),
        input=input_facts(mammogram),
        bundle=bundle.identity,
        thresholds=operating_point,
        findings=tuple(findings),
        warnings=mammogram.warnings,
        seconds=watch.seconds,
    )
    return Examination(analysis, breast)
