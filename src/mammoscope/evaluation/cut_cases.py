"""Cut lesions from their full images: wider than the published crops, or by a box misplaced as by the detector.

On the published crops the mass always spans 0.9 of the frame, so a constant mask does well there. It fails if the cut
is wider or off centre, as in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.evaluation.cases import Progress, exam_cases, outlined, run, true_candidates
from mammoscope.evaluation.metrics.cuts import JITTERED, WIDTHS, CutLesion
from mammoscope.evaluation.metrics.detection import match
from mammoscope.evaluation.metrics.end_to_end import MATCH_IOU
from mammoscope.geometry import FloatArray, box_iou
from mammoscope.stages.average_mask import laid_on
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import MASS_FRACTION, Roi, cut_roi, roi_batch

Mask = NDArray[np.bool_]


def box_errors(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> FloatArray:
    """How the detector's boxes differ from the true ones, for detections that match a lesion (IoU 0.5 or more).

    Returns
    -------
    FloatArray
        ``(N, 4)`` of (shift in x, shift in y, log width, log height), frame ``preprocessed``: shifts of the centre in
        widths and heights of the true box, logarithms of detected over true length.
    """
    errors: dict[str, FloatArray] = {}
    for case in exam_cases(dataset, bundle, progress, with_lesions=True):
        found = run(bundle.finding, case.exam, Candidates.none(), case.place)
        truth = true_candidates(case)
        for view, image in enumerate(case.images):
            true, boxes = truth.of_view(view).boxes, found.of_view(view).ranked().boxes
            taken = match(box_iou(boxes, true), MATCH_IOU)
            errors[image] = _errors(boxes[taken >= 0], true[taken[taken >= 0]])
    return np.concatenate([np.zeros((0, 4)), *(errors[image] for image in dataset.images if image in errors)])


def erring(box: FloatArray, error: FloatArray) -> FloatArray:
    """A true box ``(4,)`` with an error of a detector, see ``box_errors``."""
    size = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + error[:2] * size
    half = size * np.exp(error[2:]) / 2
    return np.concatenate([centre - half, centre + half])


def segment_cuts(
    dataset: Dataset, bundle: Bundle, average: Mask, errors: FloatArray, seed: int, progress: Progress | None = None
) -> dict[str, list[CutLesion]]:
    """Segment lesions in cuts from their full images.

    Only lesions are cut whose published mask can be laid on the full image: see ``placed``.

    Parameters
    ----------
    average
        ``(S, S)``, the mask that is predicted for comparison.
    errors
        ``(N, 4)`` of ``box_errors``; each lesion's box gets one of them, drawn at random.
    seed
        Of that draw.

    Returns
    -------
    dict
        The lesions by the name of the cut: ``"1"``, ``"1.5"``, ``"2"`` and ``"jittered"``, which is empty if there
        are no errors.
    """
    rng = np.random.default_rng(seed)
    rows = [lesion for of_image in dataset.images.values() for lesion in of_image]
    # One draw for every lesion, so that a lesion's box does not depend on whether another was cut.
    error_of = {id(row): errors[rng.integers(len(errors))] if len(errors) else None for row in rows}
    measured: dict[str, dict[int, CutLesion]] = {name: {} for name in (*(f"{width:g}" for width in WIDTHS), JITTERED)}
    for case in exam_cases(dataset, bundle, progress, with_lesions=True):
        for view, lesions in enumerate(case.lesions):
            breast = case.exam.views[view].breast
            if breast is None:
                continue
            for lesion in lesions:
                if not placed(lesion):
                    continue
                cuts = list(_cuts(breast, breast.from_original.boxes(lesion.box[None])[0], error_of[id(lesion)]))
                truth = Candidates.on_view(np.stack([box for _, _, box in cuts]), np.ones(len(cuts)))
                given = replace(truth, rois=roi_batch([roi for _, roi, _ in cuts]))
                masks = outlined(bundle, case.exam.alone(view), given, case.images[view])
                for (name, roi, box), predicted in zip(cuts, masks.binary, strict=True):
                    true, whole = mask_in_cut(dataset, lesion, breast, roi)
                    on_box = laid_on(average.astype(np.uint8), roi.from_preprocessed, box) > 0
                    measured[name][id(lesion)] = _compared(lesion, predicted, true, whole, average, on_box)
    return {name: [cuts[id(lesion)] for lesion in rows if id(lesion) in cuts] for name, cuts in measured.items()}


def _errors(found: FloatArray, true: FloatArray) -> FloatArray:
    size, size_found = true[:, 2:] - true[:, :2], found[:, 2:] - found[:, :2]
    shift = (found[:, :2] + found[:, 2:] - true[:, :2] - true[:, 2:]) / 2 / size
    return np.concatenate([shift, np.log(size_found / size)], axis=1)


def _cuts(prepared: Preprocessed, box: FloatArray, error: FloatArray | None) -> Iterator[tuple[str, Roi, FloatArray]]:
    """Name, cut and the box it was made for, frame ``preprocessed``."""
    for width in WIDTHS:
        fraction = MASS_FRACTION / width
        yield f"{width:g}", cut_roi(prepared.pixels, box, prepared.pixel_aspect, mass_fraction=fraction), box
    if error is not None:
        moved = erring(box, error)
        yield JITTERED, cut_roi(prepared.pixels, moved, prepared.pixel_aspect), moved


def _compared(lesion: Lesion, predicted: Mask, true: Mask, whole: int, average: Mask, on_box: Mask) -> CutLesion:
    return CutLesion(
        lesion=lesion,
        true=whole,
        predicted=int(predicted.sum()),
        common=int((predicted & true).sum()),
        average=int(average.sum()),
        average_common=int((average & true).sum()),
        on_box=int(on_box.sum()),
        on_box_common=int((on_box & true).sum()),
    )
