"""Run the steps of a bundle over a dataset, one exam at a time.

The bundle's own steps are run as in an analysis. A step evaluated alone gets the true lesions as its candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle, BundledStep
from mammoscope.candidates import Candidates, Masks
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.errors import BundleError
from mammoscope.evaluation.crops import crop_case, lesions_with_crop, read_true_mask
from mammoscope.evaluation.metrics.classification import ClassifiedLesions, classified
from mammoscope.evaluation.metrics.detection import DetectedImage, match
from mammoscope.evaluation.metrics.segmentation import SegmentedLesion, measure
from mammoscope.geometry import FloatArray, Frame, FrameChange, box_iou
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import run_steps
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import PreparedExam, PreparedView

Progress = Callable[[int, int], None]

_SAME_IOU = 0.3  # a candidate that a step moves still counts as the same
_OF_ANOTHER_KIND = 1 - 1e-6  # of two at one place the one of the same kind is it


@dataclass(frozen=True, eq=False)
class ExamCase:
    """An exam of a dataset.

    Attributes
    ----------
    patient
        Whose exam it is.
    images, lesions
        File name and lesions of each of the exam's views; a view may have no lesion.
    exam
        The views, prepared.
    breast_found
        Whether preprocessing found a breast on each; False also for an image that is used whole.
    """

    patient: str
    images: tuple[str, ...]
    lesions: tuple[tuple[Lesion, ...], ...]
    exam: PreparedExam
    breast_found: tuple[bool, ...]

    @property
    def place(self) -> str:
        """Its images, for an error."""
        return ", ".join(self.images)


def exam_cases(
    dataset: Dataset,
    bundle: Bundle,
    progress: Progress | None = None,
    *,
    whole_images: bool = False,
    with_lesions: bool = False,
    change: Callable[[Mammogram], Mammogram] | None = None,
) -> Iterator[ExamCase]:
    """The exams of a dataset, prepared as the bundle does.

    Parameters
    ----------
    whole_images
        Use the whole image if no breast is found on it, so that its lesions can be evaluated like all others.
    with_lesions
        Read the exams with a lesion only; the others count as done.
    change
        Applied to each image as it is read; its size stays.
    """
    done = 0
    for images in exams_of(dataset):
        if with_lesions and not any(dataset.images[image] for image in images):
            done += len(images)
            if progress:
                progress(done, len(dataset.images))
            continue
        views, found = [], []
        for image in images:
            mammogram = dataset_mammogram(dataset, image)
            if change is not None:
                mammogram = change(mammogram)
            view = PreparedView.of(mammogram, bundle.manifest.preprocess)
            found.append(view.breast is not None)
            if whole_images and view.breast is None:
                view = replace(view, breast=_whole_image(mammogram))
            views.append(view)
            done += 1
            if progress:
                progress(done, len(dataset.images))
        lesions = tuple(dataset.images[image] for image in images)
        yield ExamCase(
            dataset.patient_of(images[0]), images, lesions, PreparedExam(tuple(views)), breast_found=tuple(found)
        )


def exams_of(dataset: Dataset) -> list[tuple[str, ...]]:
    """The images of each exam of each patient: if the dataset states no exam, all images of a patient are one."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in dataset.image_rows():
        grouped.setdefault((row.patient_id, row.exam), []).append(row.image)
    return [tuple(images) for images in grouped.values()]


def breast_of(dataset: Dataset, image: str) -> str:
    """Which breast of which of the patient's exams an image shows; empty where its side is not known."""
    row = dataset.image_row(image)
    return f"{row.exam} {row.breast_side}".strip() if row.breast_side else ""


def detect_images(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> list[DetectedImage]:
    """Run the steps before the selection on every exam; one result for each of the dataset's ``judged_images``."""
    detected: dict[str, DetectedImage] = {}
    for case in exam_cases(dataset, bundle, progress):
        found = run(bundle.finding, case.exam, Candidates.none(), case.place)
        detected |= {image.image: image for image in detected_images(dataset, case, found)}
    return [detected[image] for image in dataset.judged_images]


def detected_images(dataset: Dataset, case: ExamCase, found: Candidates) -> list[DetectedImage]:
    """The lesions and detections of each image of an exam, in its ``original`` frame."""
    return [
        _detected_image(dataset, image, prepared.breast, found.of_view(view).ranked())
        for view, (image, prepared) in enumerate(zip(case.images, case.exam.views, strict=True))
    ]


def classify_boxes(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> tuple[ClassifiedLesions, int]:
    """Classify every lesion of known pathology in the ROI of its true box, with the predicted mask.

    Returns
    -------
    tuple
        The lesions, image by image, and how many of them are on images where no breast was found.
    """
    graded: dict[str, Candidates] = {}
    without_breast = 0
    for case in exam_cases(dataset, bundle, progress, whole_images=True, with_lesions=True):
        truth = true_candidates(case)
        said = graded_alone(bundle, case.exam, truth, case.place)
        said = replace(said, malignancy_score=malignancy_of(said, bundle), rois=None, masks=None)
        for view, (image, found) in enumerate(zip(case.images, case.breast_found, strict=True)):
            graded[image] = said.take(truth.view == view)
            without_breast += 0 if found else len(case.lesions[view])
    lesions = [lesion for of_image in dataset.images.values() for lesion in of_image]
    in_order = Candidates.joined(graded[image] for image in dataset.images if image in graded)
    scored = classified([_identity(lesion) for lesion in lesions], malignancy_of(in_order, bundle).tolist())
    return replace(scored, attributes=in_order.attributes), without_breast


def true_candidates(case: ExamCase) -> Candidates:
    """The lesions of an exam as candidates, view by view, in the order of the table."""
    return Candidates.joined(
        Candidates.on_view(
            prepared.breast.from_original.boxes(lesion.box[None]), np.ones(1), view=view, kind=lesion.kind
        )
        for view, (prepared, lesions) in enumerate(zip(case.exam.views, case.lesions, strict=True))
        if prepared.breast is not None
        for lesion in lesions
    )


def classify_crops(
    dataset: Dataset, bundle: Bundle, progress: Progress | None = None
) -> tuple[ClassifiedLesions, ClassifiedLesions]:
    """Classify the lesions with a crop and a mask: with the true masks, and with the predicted ones."""
    lesions = lesions_with_crop(dataset)
    with_true: list[float] = []
    with_predicted: list[float] = []
    for done, lesion in enumerate(lesions, start=1):
        exam, truth = crop_case(dataset, lesion)
        masked = replace(truth, masks=Masks(read_true_mask(dataset, lesion)[None].astype(np.float32), 0.5))
        for scores, roles, given in (
            (with_true, ("classify",), masked),
            (with_predicted, ("segment", "classify"), truth),
        ):
            graded = run(bundle.of_roles(*roles), exam, given, lesion.crop)
            scores.extend(malignancy_of(graded, bundle).tolist())
        if progress:
            progress(done, len(lesions))
    identities = [_identity(lesion) for lesion in lesions]
    return classified(identities, with_true), classified(identities, with_predicted)


def segment_crops(
    dataset: Dataset, bundle: Bundle, baseline: NDArray[np.bool_], progress: Progress | None = None
) -> list[SegmentedLesion]:
    """Segment every crop that has a mask, and measure it against the mask and the average mask ``(S, S)``."""
    measured = []
    lesions = lesions_with_crop(dataset)
    for done, lesion in enumerate(lesions, start=1):
        masks = outlined(bundle, *crop_case(dataset, lesion), lesion.crop)
        measured.append(
            measure(
                probabilities=masks.probabilities[0],
                threshold=masks.threshold,
                true=read_true_mask(dataset, lesion),
                baseline=baseline,
                image=lesion.image,
                patient=lesion.patient_id,
                abnormality_id=lesion.abnormality_id,
                crop=lesion.crop,
            )
        )
        if progress:
            progress(done, len(lesions))
    return measured


def crop_with_masks(
    dataset: Dataset, bundle: Bundle, crop: str
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """A crop ``(S, S) uint8`` with its true and its predicted mask, for an image of the report."""
    lesion = next(lesion for lesion in lesions_with_crop(dataset) if lesion.crop == crop)
    exam, truth = crop_case(dataset, lesion)
    return exam.breast().pixels, read_true_mask(dataset, lesion), outlined(bundle, exam, truth, crop).binary[0]


def outlined(bundle: Bundle, exam: PreparedExam, truth: Candidates, place: str) -> Masks:
    """Given candidates after the bundle's segmenting steps.

    Raises
    ------
    BundleError
        They outline nothing, or no step segments.
    """
    masks = run(bundle.of_roles("segment"), exam, truth, place).masks
    if masks is None or len(masks) != len(truth):
        raise _not_alone(bundle, "segments")
    return masks


def graded_alone(bundle: Bundle, exam: PreparedExam, given: Candidates, place: str) -> Candidates:
    """Given candidates after the steps that follow the selection, in the same order.

    Raises
    ------
    BundleError
        One of them was dropped, or its detection score changed, though all these steps are said to be ``row_by_row``.
    """
    after = run(bundle.grading, exam, given, place)
    iou = box_iou(given.boxes, after.boxes) * (given.view[:, None] == after.view[None])
    iou *= np.where(given.kind[:, None] == after.kind[None], 1, _OF_ANOTHER_KIND)
    rows = match(iou, _SAME_IOU)
    if (rows < 0).any():
        raise BundleError(f"{bundle.folder}: the steps after the selection drop given candidates on {place}")
    graded = after.take(rows)
    if row_by_row(bundle) and not np.array_equal(graded.detection_score, given.detection_score):
        raise BundleError(
            f"{bundle.folder}: a step of row_by_row after the selection changes detection scores on {place}"
        )
    return graded


def row_by_row(bundle: Bundle) -> bool:
    """Whether the steps after the selection only fill in fields, each candidate's without regard to the others."""
    return all(step.implementation.row_by_row for step in bundle.grading)


def run(steps: Sequence[BundledStep], exam: PreparedExam, found: Candidates, place: str) -> Candidates:
    """As ``run_steps``, with errors that name the images."""
    try:
        return run_steps(steps, exam, found)
    except BundleError as error:
        raise BundleError(f"{error}, on {place}") from None


def malignancy_of(graded: Candidates, bundle: Bundle) -> FloatArray:
    """The malignancy scores ``(N,)`` of graded candidates.

    Raises
    ------
    BundleError
        There are candidates, and no step has classified them.
    """
    if graded.malignancy_score is None:
        if len(graded):
            raise _not_alone(bundle, "classifies")
        return np.zeros(0)
    return graded.malignancy_score


def highest_score(detection: FloatArray, malignancy: FloatArray) -> float:
    """The highest detection score x malignancy score; NaN, of what is not graded, does not count. 0 of none."""
    return float(np.nan_to_num(detection * malignancy).max(initial=0.0))


def _not_alone(bundle: Bundle, does: str) -> BundleError:
    joint = ", ".join(repr(step.manifest.name) for step in bundle.of_roles("joint"))
    hint = f" (step {joint} {does} only what it finds itself: evaluate the detector or the pipeline)" if joint else ""
    return BundleError(f"{bundle.folder}: no step {does} given regions, so it cannot be evaluated alone{hint}")


def _detected_image(dataset: Dataset, image: str, breast: Preprocessed | None, found: Candidates) -> DetectedImage:
    return DetectedImage(
        image=image,
        patient=dataset.patient_of(image),
        lesion_boxes=dataset.boxes_of(image),
        boxes=found.boxes if breast is None else breast.from_original.inverse().boxes(found.boxes),
        scores=found.detection_score,
        lesion_kinds=np.array([lesion.kind for lesion in dataset.images[image]], dtype=np.str_),
        kinds=found.kind,
        breast_found=breast is not None,
        breast=breast_of(dataset, image),
        lesion_keys=tuple(dataset.lesion_key(lesion) for lesion in dataset.images[image]),
    )


def _whole_image(mammogram: Mammogram) -> Preprocessed:
    """A whole mammogram on which no breast was found, so that its lesions are classified like all others."""
    grey = np.zeros(mammogram.pixels.shape, dtype=np.uint8)
    cv2.normalize(mammogram.pixels, grey, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return Preprocessed(grey, np.ones(grey.shape, dtype=bool), change, mammogram.pixel_aspect)


def _identity(lesion: Lesion) -> tuple[str, str, str, bool]:
    return lesion.image, lesion.patient_id, lesion.abnormality_id, lesion.malignant is True
