"""From mammograms to outlined, scored findings: the whole chain on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from mammoscope.bundle import Bundle, BundledStep
from mammoscope.candidates import UNLINKED, Candidates
from mammoscope.errors import BundleError
from mammoscope.findings import (
    ANALYSED_ALONE,
    Analysis,
    Box,
    Finding,
    InputFacts,
    Thresholds,
    outcome_of,
    statement_of,
)
from mammoscope.kinds import Kind, kind_named
from mammoscope.mammogram import Mammogram
from mammoscope.stages.measure import measure, outline_of_mask
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import PreparedExam, PreparedView
from mammoscope.stopwatch import Stopwatch

Progress = Callable[[str, float], object]
PREPROCESS = "preprocess"


class Examination(NamedTuple):
    """An analysis, and the prepared breast; None if no breast was found."""

    analysis: Analysis
    prepared: Preprocessed | None


def analyze(mammogram: Mammogram, bundle: Bundle, *, threshold: float | None = None) -> Analysis:
    """Find, outline and classify findings on a mammogram, as an exam of this one view.

    Parameters
    ----------
    mammogram
        One view, as a reader gives it.
    bundle
        The models.
    threshold
        Detection score from which findings are reported, in [0, 1]; None takes the bundle's, which was chosen on
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
    """As ``analyze``, and return the prepared breast too.

    ``progress`` is called as each step of the chain begins, with its name and the share of steps that is done.
    """
    return examine_views([mammogram], bundle, threshold=threshold, progress=progress)[0]


def examine_views(
    views: Sequence[Mammogram], bundle: Bundle, *, threshold: float | None = None, progress: Progress | None = None
) -> list[Examination]:
    """Examine the views of one woman at one time together; one examination a view, in their order.

    Where steps look at whole exams, the analysis of a view that is examined alone says so in its warnings.
    """
    limits = Thresholds(
        detection=bundle.manifest.thresholds.detection if threshold is None else threshold,
        malignancy=bundle.manifest.thresholds.malignancy,
    )
    stages = (PREPROCESS, *(step.manifest.name for step in bundle.steps))

    def began(stage: str) -> None:
        if progress is not None:
            progress(stage, stages.index(stage) / len(stages))

    watch = Stopwatch(began)
    with watch.time(PREPROCESS):
        exam = PreparedExam(tuple(PreparedView.of(view, bundle.manifest.preprocess) for view in views))
    found = run_steps(bundle.finding, exam, Candidates.none(), watch).above(bundle.graded_from(limits.detection))
    found = run_steps(bundle.grading, exam, found, watch).above(limits.detection)
    notes = (ANALYSED_ALONE,) if bundle.sees_exams and len(views) == 1 else ()
    lesions = _lesion_uids(views, found)
    return [
        Examination(
            _analysis(mammogram, prepared.breast, found.of_view(number), lesions, bundle, limits, notes, watch),
            prepared.breast,
        )
        for number, (mammogram, prepared) in enumerate(zip(views, exam.views, strict=True))
    ]


def _lesion_uids(views: Sequence[Mammogram], found: Candidates) -> dict[int, str]:
    """A UID (PS3.5 B.2) for each lesion of which two views or more have a finding: the same for the same images."""
    if found.lesion is None:
        return {}
    uids = {}
    for lesion in np.unique(found.lesion[found.lesion != UNLINKED]).tolist():
        rows = np.flatnonzero(found.lesion == lesion)
        if len(rows) > 1:  # of those below the threshold, nothing is said
            shown = [f"{_name(views[found.view[row]])} {found.boxes[row].round().tolist()}" for row in rows]
            uids[lesion] = f"2.25.{uuid5(NAMESPACE_OID, ' '.join(sorted(shown))).int}"
    return uids


def _name(view: Mammogram) -> str:
    """An archive may send the same image with other bytes around it, under the same UID."""
    return view.sop_instance_uid or view.sha256


def run_steps(
    steps: Sequence[BundledStep], exam: PreparedExam, found: Candidates, watch: Stopwatch | None = None
) -> Candidates:
    """Run some steps of a bundle, in their order: what evaluation runs is what ships.

    If no view has a breast, nothing is run. The time of each step goes to ``watch`` by its name.

    Raises
    ------
    BundleError
        A step, which may come from another package, gives candidates that do not fit this exam; names it.
    """
    watch = watch or Stopwatch()
    for step in steps if any(view.breast is not None for view in exam.views) else ():
        with watch.time(step.manifest.name):
            found = _run_step(step, exam, found)
    return found


def _run_step(step: BundledStep, exam: PreparedExam, found: Candidates) -> Candidates:
    if step.implementation.scope == "exam" or len(exam.views) == 1:
        after = step.step(exam, found)
    else:
        after = Candidates.joined(
            step.step(exam.alone(view), found.of_view(view).moved_to(0)).moved_to(view)
            for view, prepared in enumerate(exam.views)
            if prepared.breast is not None
        )
    problem = after.problem([view.breast is not None for view in exam.views])
    if problem:
        raise BundleError(f"{step.folder}: step {step.manifest.name!r} ({step.manifest.implementation}) gave {problem}")
    return after


def _analysis(
    mammogram: Mammogram,
    breast: Preprocessed | None,
    found: Candidates,
    lesions: Mapping[int, str],
    bundle: Bundle,
    limits: Thresholds,
    notes: tuple[str, ...],
    watch: Stopwatch,
) -> Analysis:
    """What was found on one view, in the frame of its file; ``notes`` are warnings beside those on the file."""
    findings = _findings(mammogram, breast, found.ranked(), lesions, bundle, limits) if breast is not None else ()
    return Analysis(
        software=f"mammoscope {bundle.code_version}",
        outcome=outcome_of(findings, breast_found=breast is not None),
        statement=statement_of(findings, limits.detection, breast_found=breast is not None),
        input=InputFacts.of(mammogram),
        bundle=bundle.identity,
        thresholds=limits,
        findings=findings,
        warnings=(*mammogram.warnings, *notes),
        seconds=watch.seconds,
    )


def _findings(
    mammogram: Mammogram,
    breast: Preprocessed,
    found: Candidates,
    lesions: Mapping[int, str],
    bundle: Bundle,
    limits: Thresholds,
) -> tuple[Finding, ...]:
    rois, masks, malignancy = found.rois, found.masks, found.malignancy_score
    if not len(found):
        return ()
    if rois is None or masks is None or malignancy is None:
        raise BundleError("no step of the bundle outlines, or none classifies, so findings cannot be reported")
    to_original = breast.from_original.inverse()
    words = bundle.attributes
    findings = []
    for number, box in enumerate(to_original.boxes(found.boxes)):
        kind = kind_named(str(found.kind[number]))
        from_roi = rois.from_preprocessed[number].inverse().then(to_original)
        outline = from_roi.points(outline_of_mask(masks.probabilities[number], masks.threshold))
        outline = np.clip(outline, 0, [mammogram.width, mammogram.height])
        findings.append(
            Finding(
                kind=kind.name,
                box=Box.of(box),
                outline=tuple((round(x, 2), round(y, 2)) for x, y in outline.tolist()),
                detection_score=float(found.detection_score[number]),
                malignancy_score=None if np.isnan(malignancy[number]) else float(malignancy[number]),
                malignancy=_class_of(malignancy[number], limits.malignancy),
                size=measure(outline, kind, mammogram.spacing),
                features=_features(kind, found, number, words),
                lesion=None if found.lesion is None else lesions.get(int(found.lesion[number])),
            )
        )
    return tuple(findings)


def _features(kind: Kind, found: Candidates, row: int, words: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What steps said of a candidate: of each feature of its kind the likeliest of the words that the bundle lists."""
    said = {}
    for feature in kind.features:
        probabilities = found.attributes.get(feature.name)
        if probabilities is not None and feature.name in words and not np.isnan(probabilities[row]).any():
            said[feature.name] = words[feature.name][int(probabilities[row].argmax())]
    return said


def _class_of(malignancy: float, threshold: float) -> Literal["malignant", "benign"] | None:
    """The class that a score means; None where there is none."""
    if np.isnan(malignancy):
        return None
    return "malignant" if malignancy >= threshold else "benign"
