"""The curves that a detector's figures lie on."""

from __future__ import annotations

import numpy as np

from mammoscope.evaluation.metrics.detection import Ranking
from mammoscope.evaluation.metrics.intervals import ratio
from mammoscope.geometry import FloatArray


def precision_recall_curve(ranking: Ranking, iou: float) -> tuple[FloatArray, FloatArray]:
    """Recall and interpolated precision after each detection, ``(K,)`` each."""
    found = np.cumsum(ranking.hits[iou], dtype=np.int64)
    precision = found / np.arange(1, len(found) + 1)
    return ratio(found, ranking.lesions.sum()), np.maximum.accumulate(precision[::-1])[::-1]


def froc_curve(ranking: Ranking, iou: float) -> tuple[FloatArray, FloatArray]:
    """False positives an image and sensitivity at each distinct score, highest first."""
    ends = ranking.score_ends()
    found = np.cumsum(ranking.hits[iou], dtype=np.int64)[ends]
    return ratio(ends + 1 - found, len(ranking.lesions)), ratio(found, ranking.lesions.sum())
