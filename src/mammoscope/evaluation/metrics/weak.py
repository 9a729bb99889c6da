"""What a chain says of whole images and where it looks, for networks that learn from image labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.classification import ClassifiedLesions
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, ratio
from mammoscope.evaluation.metrics.levels import ScoredImage
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.geometry import FloatArray

CANVAS = 1024

DEFINITIONS = {
    "images": "Number of mammograms.",
    "images_without_breast": "Mammograms on which no breast was found: their score is 0, and nothing is pointed at.",
    "threshold": "Outlines of candidates with this detection score or more are measured; fixed in the bundle.",
    "malignant": "Images with a malignant lesion.",
    "pathology_unknown": "Images without a known malignant lesion and with one of unknown pathology: left out of "
    "image_auc.",
    "image_auc": "Area under the ROC curve of the image score, images with a malignant lesion against all others, ties "
    "count half. The image score is the largest detection_score x malignancy_score of all candidates down to the "
    "detector's own floor, 0 without a candidate. Steps that grade candidates together are given all of them.",
    "images_with_lesion": "Images with a lesion.",
    "pointing_game": "Share of the images with a lesion where the peak of the candidate of highest detection_score "
    "lies in the box of a lesion (Zhang et al. 2016), with a tolerance of 0 pixels. The peak is where its mask is most "
    "probable, of several such pixels the one nearest to their mean; without a mask it is the middle of its box.",
    "pointing_game_malignant": "Share of the images with a malignant lesion where the peak of the candidate of highest "
    "detection_score x malignancy_score lies in the box of a malignant lesion; peak and tolerance as in pointing_game.",
    "images_outlined": "Images with a lesion, all of whose lesions have a published mask that can be laid on them.",
    "dice_mean": "Dice coefficient of the union of the outlines at the threshold and the union of the lesions' masks, "
    "mean over images_outlined.",
    "iou_pooled": "Intersection over union of the same unions, pixels of all images_outlined pooled, each image "
    f"scaled to {CANVAS} x {CANVAS}.",
}


@dataclass(frozen=True, eq=False)
class LookedAt:
    """What a chain says of one image.

    Attributes
    ----------
    image, patient
        File name and patient id.
    malignant
        Whether it shows a malignant lesion; None: not known.
    lesion_boxes
        ``(M, 4) float64`` of (x0, y0, x1, y1), frame ``original``.
    lesion_malignant
        ``(M,) bool``: known to be malignant.
    boxes
        ``(N, 4) float64``: the graded candidates, the same frame.
    peaks
        ``(N, 2) float64`` of (x, y): where each mask is most probable, the same frame.
    detection, malignancy
        ``(N,) float64``: their scores.
    outlines
        Pixels of the canvas in the lesions' masks, in the outlines, and in both; None where a lesion has no mask.
    breast_found
        False where preprocessing found no breast.
    breast
        Which breast of which of the patient's exams; empty: not known.
    """

    image: str
    patient: str
    malignant: bool | None
    lesion_boxes: FloatArray
    lesion_malignant: NDArray[np.bool_]
    boxes: FloatArray
    peaks: FloatArray
    detection: FloatArray
    malignancy: FloatArray
    outlines: tuple[int, int, int] | None
    breast_found: bool
    breast: str = ""

    @property
    def score(self) -> float:
        """Of the whole image."""
        return float((self.detection * self.malignancy).max(initial=0.0))

    @property
    def strongest(self) -> int | None:
        """The candidate that is most surely a finding; None: there is none."""
        return int(self.detection.argmax()) if len(self.detection) else None

    @property
    def most_malignant(self) -> int | None:
        """The candidate that is most surely a malignant finding; None: there is none."""
        return int((self.detection * self.malignancy).argmax()) if len(self.detection) else None

    @property
    def hit(self) -> bool:
        """Whether the strongest candidate points at a lesion."""
        return self._points_at(self.strongest, self.lesion_boxes)

    @property
    def hit_malignant(self) -> bool:
        """Whether the most malignant candidate points at a malignant lesion."""
        return self._points_at(self.most_malignant, self.lesion_boxes[self.lesion_malignant])

    @property
    def dice(self) -> float:
        """Dice coefficient of outlines and masks; NaN where they cannot be compared."""
        if self.outlines is None:
            return float("nan")
        true, drawn, common = self.outlines
        return 2 * common / (true + drawn) if true + drawn else 1.0

    def _points_at(self, row: int | None, boxes: FloatArray) -> bool:
        if row is None:
            return False
        peak = self.peaks[row]
        return bool(((boxes[:, :2] <= peak) & (peak <= boxes[:, 2:])).all(axis=1).any())


@dataclass(frozen=True, eq=False)
class WeakColumns:
    """What the figures of N images are computed from.

    Attributes
    ----------
    known, malignant, lesions, hit, hit_malignant, outlined
        ``(N,) bool``: whether the pathology is known, and what ``LookedAt`` says.
    scores, dice
        ``(N,) float64``; Dice is 0 where the image is not ``outlined``.
    true, drawn, common
        ``(N,) float64``: pixels, 0 where the image is not ``outlined``.
    """

    known: NDArray[np.bool_]
    malignant: NDArray[np.bool_]
    scores: FloatArray
    lesions: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    hit_malignant: NDArray[np.bool_]
    outlined: NDArray[np.bool_]
    dice: FloatArray
    true: FloatArray
    drawn: FloatArray
    common: FloatArray


def weak_statistic(of: WeakColumns) -> Statistic:
    """All figures for image weights ``(D, N)``."""

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "image_auc": roc_auc(of.scores[of.known], of.malignant[of.known], weights[:, of.known]),
            "pointing_game": ratio(weights @ (of.hit & of.lesions), weights @ of.lesions),
            "pointing_game_malignant": ratio(weights @ (of.hit_malignant & of.malignant), weights @ of.malignant),
            "dice_mean": ratio(weights @ of.dice, weights @ of.outlined),
            "iou_pooled": ratio(weights @ of.common, weights @ (of.true + of.drawn - of.common)),
        }

    return statistic


def weak_figures(images: Sequence[LookedAt], threshold: float, bootstrap: Bootstrap) -> Json:
    """All figures by the keys of ``report.json``; ``threshold`` is that of the outlines."""
    true, drawn, common = np.array([image.outlines or (0, 0, 0) for image in images], dtype=np.float64).reshape(-1, 3).T
    columns = WeakColumns(
        known=np.array([image.malignant is not None for image in images], dtype=bool),
        malignant=np.array([image.malignant is True for image in images], dtype=bool),
        scores=np.array([image.score for image in images], dtype=np.float64),
        lesions=np.array([len(image.lesion_boxes) > 0 for image in images], dtype=bool),
        hit=np.array([image.hit for image in images], dtype=bool),
        hit_malignant=np.array([image.hit_malignant for image in images], dtype=bool),
        outlined=np.array([image.outlines is not None for image in images], dtype=bool),
        dice=np.nan_to_num(np.array([image.dice for image in images], dtype=np.float64)),
        true=true,
        drawn=drawn,
        common=common,
    )

    reasons = {
        "image_auc": f"{'all images have' if columns.malignant.any() else 'no image has'} a malignant lesion",
        "pointing_game": "no image has a lesion",
        "pointing_game_malignant": "no image has a malignant lesion",
        "dice_mean": "no image has a mask of all its lesions",
        "iou_pooled": "no image has a mask of all its lesions",
    }
    figures = {
        name: figure.as_json()
        for name, figure in bootstrap.estimates(
            weak_statistic(columns), [image.patient for image in images], reasons
        ).items()
    }
    unknown = int((~columns.known).sum())
    return {
        "images": len(images),
        "images_without_breast": sum(not image.breast_found for image in images),
        "malignant": int(columns.malignant.sum()),
        **({"pathology_unknown": unknown} if unknown else {}),
        "image_auc": figures["image_auc"],
        "images_with_lesion": int(columns.lesions.sum()),
        "pointing_game": figures["pointing_game"],
        "pointing_game_malignant": figures["pointing_game_malignant"],
        "images_outlined": int(columns.outlined.sum()),
        "threshold": threshold,
        "dice_mean": figures["dice_mean"],
        "iou_pooled": figures["iou_pooled"],
    }


def scored_images(images: Sequence[LookedAt]) -> ClassifiedLesions:
    """The images whose pathology is known with their scores, for a ROC curve."""
    known = [image for image in images if image.malignant is not None]
    return ClassifiedLesions(
        images=tuple(image.image for image in known),
        patients=tuple(image.patient for image in known),
        abnormality_ids=("",) * len(known),
        malignant=np.array([image.malignant for image in known], dtype=bool),
        scores=np.array([image.score for image in known], dtype=np.float64),
    )


def scored_by_malignancy(images: Sequence[LookedAt]) -> list[ScoredImage]:
    """The score of each image, positive with a malignant lesion."""
    return [ScoredImage(image.patient, image.breast, image.malignant, image.score) for image in images]


def weak_rows(images: Sequence[LookedAt]) -> list[Json]:
    """One row an image; peaks in pixels of the original image. What an image cannot tell is empty."""
    return [
        {
            "image": image.image,
            "patient": image.patient,
            "breast": image.breast,
            "breast_found": int(image.breast_found),
            "malignant": "" if image.malignant is None else int(image.malignant),
            "lesions": len(image.lesion_boxes),
            "malignant_lesions": int(image.lesion_malignant.sum()),
            "graded": len(image.detection),
            "image_score": image.score,
            **_peak(image, "peak", image.strongest),
            "hit": int(image.hit) if len(image.lesion_boxes) else "",
            **_peak(image, "malignant_peak", image.most_malignant),
            "hit_malignant": int(image.hit_malignant) if image.malignant else "",
            **dict(zip(("true", "drawn", "common"), image.outlines or ("",) * 3, strict=True)),
            "dice": "" if image.outlines is None else image.dice,
        }
        for image in images
    ]


def _peak(image: LookedAt, name: str, row: int | None) -> Json:
    x, y = ("", "") if row is None else image.peaks[row].tolist()
    return {f"{name}_x": x, f"{name}_y": y}
