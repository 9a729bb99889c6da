"""Run a bundle over whole images, to measure what it says of each and where it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.pixels import image_size
from mammoscope.datasets.placed_masks import mask_on_input, placed
from mammoscope.evaluation.cases import (
    ExamCase,
    Progress,
    breast_of,
    exam_cases,
    graded_alone,
    highest_score,
    malignancy_of,
    row_by_row,
    run,
)
from mammoscope.evaluation.metrics.weak import CANVAS, LookedAt
from mammoscope.geometry import FloatArray, Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import moved_image

_AT_ONCE = 8  # candidates that are graded together


def look_at_images(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> list[LookedAt]:
    """Run all steps on every exam; one result for each of the dataset's ``judged_images``.

    All candidates are graded, except those that can change no figure: where the steps after the selection work on each
    candidate independently, those below the threshold whose detection score is no higher than the image score already.
    """
    looked: dict[str, LookedAt] = {}
    for case in exam_cases(dataset, bundle, progress):
        found = run(bundle.finding, case.exam, Candidates.none(), case.place)
        graded = _graded(bundle, case, found)
        for view, (image, prepared) in enumerate(zip(case.images, case.exam.views, strict=True)):
            looked[image] = _looked_at(dataset, bundle, image, prepared.breast, graded.of_view(view).ranked())
    return [looked[image] for image in dataset.judged_images]


def image_malignant(lesions: Sequence[Lesion]) -> bool | None:
    """Whether an image with these lesions shows a malignant one; None: not known."""
    grades = {lesion.malignant for lesion in lesions}
    if True in grades:
        return True
    return None if None in grades else False


def peaks_of(found: Candidates) -> FloatArray:
    """Where each mask is most probable, ``(N, 2)`` of (x, y), frame ``preprocessed``.

    Of several pixels of the largest probability it is the one nearest to their mean; without a mask it is the middle of
    the box.
    """
    peaks = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    if found.masks is None or found.rois is None:
        return np.asarray(peaks)
    for row, (mask, change) in enumerate(zip(found.masks.probabilities, found.rois.from_preprocessed, strict=True)):
        if mask.max() > 0:
            places = np.argwhere(mask == mask.max())[:, ::-1] + 0.5
            nearest = ((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()
            peaks[row] = change.inverse().points(places[nearest])[0]
    return np.asarray(peaks)


def _graded(bundle: Bundle, case: ExamCase, found: Candidates) -> Candidates:
    if not row_by_row(bundle):
        return run(bundle.grading, case.exam, found, case.place)
    return Candidates.joined(
        _graded_on_view(bundle, case, found.of_view(view).ranked()) for view in range(len(case.exam.views))
    )


def _graded_on_view(bundle: Bundle, case: ExamCase, found: Candidates) -> Candidates:
    """Of one view's candidates, surest first, all that can change a figure, graded."""
    graded: list[Candidates] = []
    highest = 0.0
    for start in range(0, max(1, len(found)), _AT_ONCE):
        some = found.take(np.arange(start, min(start + _AT_ONCE, len(found))))
        surest = some.detection_score.max(initial=0.0)
        if start and surest < bundle.manifest.thresholds.detection and surest <= highest:
            break
        graded.append(graded_alone(bundle, case.exam, some, case.place))
        highest = max(highest, highest_score(some.detection_score, malignancy_of(graded[-1], bundle)))
    return Candidates.joined(graded)


def _looked_at(
    dataset: Dataset, bundle: Bundle, image: str, breast: Preprocessed | None, found: Candidates
) -> LookedAt:
    lesions = dataset.images[image]
    back = FrameChange(Frame.PREPROCESSED, Frame.ORIGINAL) if breast is None else breast.from_original.inverse()
    outlines = None
    if lesions and all(map(placed, lesions)):
        width, height = image_size(dataset.image_path(image))
        to_canvas = FrameChange(Frame.ORIGINAL, Frame.MODEL_INPUT).scaled(CANVAS / width, CANVAS / height)
        true = np.zeros((CANVAS, CANVAS), dtype=bool)
        for lesion in lesions:
            true |= mask_on_input(dataset, lesion, to_canvas, CANVAS) > 127
        drawn = _drawn(found.above(bundle.manifest.thresholds.detection), back.then(to_canvas))
        outlines = int(true.sum()), int(drawn.sum()), int((true & drawn).sum())
    return LookedAt(
        image=image,
        patient=dataset.patient_of(image),
        malignant=image_malignant(lesions),
        lesion_boxes=dataset.boxes_of(image),
        lesion_malignant=np.array([lesion.malignant is True for lesion in lesions], dtype=bool),
        boxes=back.boxes(found.boxes),
        peaks=back.points(peaks_of(found)),
        detection=found.detection_score,
        malignancy=np.nan_to_num(malignancy_of(found, bundle)),
        outlines=outlines,
        breast_found=breast is not None,
        breast=breast_of(dataset, image),
    )


def _drawn(found: Candidates, to_canvas: FrameChange) -> NDArray[np.bool_]:
    """The union of the candidates' outlines ``(CANVAS, CANVAS)``, by a change from ``preprocessed``."""
    drawn = np.zeros((CANVAS, CANVAS), dtype=bool)
    if found.masks is not None and found.rois is not None:
        for mask, change in zip(found.masks.binary, found.rois.from_preprocessed, strict=True):
            moved = moved_image(mask.astype(np.uint8) * 255, change.inverse().then(to_canvas), CANVAS, CANVAS)
            drawn |= moved > 127
    return drawn
