"""Figures that others published, for comparison: on the official test split, which is not what is measured here."""

from __future__ import annotations

from mammoscope.evaluation.metrics.intervals import Json

_SPLIT = "official CBIS-DDSM mass test split (361 mammograms, 378 lesions)"
_NOTE = "Published figures on the official test split, given for comparison; they were not measured on this dataset."


def _reference(model: str, figures: Json, **more: object) -> Json:
    return {"split": _SPLIT, "note": _NOTE, "model": model, "figures": figures, **more}


def _point(threshold: float, found: int, true_found: int, correct: float, false_positive_rate: float) -> Json:
    return {
        "threshold": threshold,
        "found": found,
        "true_found": true_found,
        "correct": correct,
        "false_positive_rate": false_positive_rate,
    }


PUBLISHED: dict[str, Json] = {
    "detector": _reference("RetinaNet-R50 at 640 px", {"ap": 0.257, "ap50": 0.611}),
    "segmenter": _reference("U-Net + ViT", {"iou_pooled": 0.811, "pixel_auc": 0.95}),
    "classifier": _reference(
        "three ResNet-50",
        {"accuracy": 0.759, "auc": 0.80},
        highest_leak_free_elsewhere=[
            {"auc": 0.866, "model": "two views, whole image"},
            {"auc": 0.862, "model": "mass ROI with mask"},
        ],
        warning="Figures of 0.95 and more come from splitting after augmentation: the same lesion on both sides.",
    ),
    "pipeline": _reference(
        "RetinaNet-R50 at 640 px, U-Net + ViT, three ResNet-50",
        {
            "thresholds": [
                _point(0.2, 698, 260, 0.54, 0.71),
                _point(0.3, 374, 214, 0.44, 0.55),
                _point(0.5, 112, 98, 0.20, 0.33),
            ]
        },
        seconds_per_mammogram="4-5",
    ),
}
