"""Run the whole chain of a bundle over a dataset."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.cases import (
    ExamCase,
    Progress,
    detected_images,
    exam_cases,
    graded_alone,
    highest_score,
    malignancy_of,
    row_by_row,
    run,
)
from mammoscope.evaluation.metrics.detection import match
from mammoscope.evaluation.metrics.end_to_end import MATCH_IOU, THRESHOLDS, AnalysedImage
from mammoscope.geometry import FloatArray
from mammoscope.mammogram import Mammogram


def analyse_images(
    dataset: Dataset,
    bundle: Bundle,
    progress: Progress | None = None,
    *,
    scored: bool = False,
    change: Callable[[Mammogram], Mammogram] | None = None,
) -> list[AnalysedImage]:
    """Run all steps on every exam; one result for each of the dataset's ``judged_images``.

    If the steps after the selection work on each candidate independently, only those that match a lesion are outlined
    and classified: no figure of lesions needs the others. Else they get all candidates from the lowest threshold of the
    figures.

    Parameters
    ----------
    scored
        Also grade those that the scores of whole images depend on; without it these scores are 0.
    change
        Applied to each image as it is read.
    """
    analysed: dict[str, AnalysedImage] = {}
    alone, gradable = row_by_row(bundle), bundle.kinds_of("classify")
    for case in exam_cases(dataset, bundle, progress, change=change):
        found = run(bundle.finding, case.exam, Candidates.none(), case.place)
        if not alone:
            found = run(bundle.grading, case.exam, found.above(THRESHOLDS[0]), case.place)
        for view, detected in enumerate(detected_images(dataset, case, found)):
            rows = found.of_view(view).ranked()
            lesion = match(detected.iou, MATCH_IOU)
            malignancy, score = _malignancy(bundle, case, rows, lesion >= 0, alone=alone, scored=scored)
            pathology = [row.malignant for row in case.lesions[view]]
            analysed[detected.image] = AnalysedImage(
                detected,
                lesion,
                malignancy,
                lesion_malignant=np.array([malignant is True for malignant in pathology], dtype=bool),
                lesion_graded=np.array(
                    [row.malignant is not None and row.kind in gradable for row in case.lesions[view]], dtype=bool
                ),
                score=score,
            )
    return [analysed[image] for image in dataset.judged_images]


def _malignancy(
    bundle: Bundle, case: ExamCase, rows: Candidates, taken: NDArray[np.bool_], *, alone: bool, scored: bool
) -> tuple[FloatArray, float]:
    """Malignancy scores ``(N,)`` of one view's candidates, NaN for those not taken, and the score of the image."""
    malignancy = np.full(len(rows), np.nan)
    if not alone:
        graded = malignancy_of(rows, bundle)
        malignancy[taken] = graded[taken]
        return malignancy, highest_score(rows.detection_score, graded) if scored else 0.0
    if taken.any():
        graded_rows = graded_alone(bundle, case.exam, rows.take(taken), case.place)
        malignancy[taken] = malignancy_of(graded_rows, bundle)
    if not scored:
        return malignancy, 0.0
    highest = highest_score(rows.detection_score, malignancy)
    for row in np.flatnonzero(~taken):
        if rows.detection_score[row] <= highest:  # ranked: no further one can exceed it either
            break
        one = graded_alone(bundle, case.exam, rows.take(np.array([row])), case.place)
        highest = max(highest, highest_score(one.detection_score, malignancy_of(one, bundle)))
    return malignancy, highest
