"""Detections and lesions as the rows of ``cases.csv``."""

from __future__ import annotations

from collections.abc import Sequence

from mammoscope.evaluation.metrics.detection import MATCH_IOUS, DetectedImage, match
from mammoscope.evaluation.metrics.intervals import Json
from mammoscope.geometry import FloatArray


def detection_rows(images: Sequence[DetectedImage]) -> list[Json]:
    """One row a detection and one a lesion missed at IoU 0.5; boxes in pixels of the original image.

    An image with neither has a row of kind ``nothing``. ``hit_T`` says whether the detection takes a lesion at IoU T.
    The lesions of a dataset are the rows of kind ``missed_lesion`` and those with ``hit_0.50`` = 1, so all figures
    follow from the table.
    """
    rows: list[Json] = []
    for image in images:
        iou = image.iou
        matched = {threshold: match(iou, threshold) for threshold in MATCH_IOUS}
        lesion_of = matched[0.5]
        for row in range(len(image.scores)):
            lesion = int(lesion_of[row])
            rows.append(
                box_row(image, "detection", image.boxes[row], iou[row])
                | {"score": float(image.scores[row]), "lesion": lesion + 1 if lesion >= 0 else ""}
                | {f"hit_{threshold:.2f}": int(found[row] >= 0) for threshold, found in matched.items()}
            )
        rows += [
            box_row(image, "missed_lesion", image.lesion_boxes[lesion], iou[:, lesion])
            | {"score": "", "lesion": lesion + 1}
            | {f"hit_{threshold:.2f}": "" for threshold in MATCH_IOUS}
            for lesion in sorted(set(range(len(image.lesion_boxes))) - set(lesion_of.tolist()))
        ]
        if not len(image.scores) and not len(image.lesion_boxes):
            rows.append({"image": image.image, "patient": image.patient, "breast": image.breast, "kind": "nothing"})
    return rows


def box_row(image: DetectedImage, kind: str, box: FloatArray, ious: FloatArray) -> Json:
    """The columns that rows of detections and of missed lesions share."""
    x0, y0, x1, y1 = (round(float(value), 3) for value in box)
    best = float(ious.max()) if ious.size else 0.0
    place: Json = {"image": image.image, "patient": image.patient, "breast": image.breast, "kind": kind}
    return place | {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "best_iou": best}
