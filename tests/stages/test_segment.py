"""What is added to the logits of ROIs that were enlarged."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.bundle import Bundle
from mammoscope.candidates import RoiBatch
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.roi import ROI_SIZE
from mammoscope.stages.segment import OnnxSegmenter, enlargement
from mammoscope.stages.step import NETWORK


def _rois(*scales: tuple[float, float]) -> RoiBatch:
    pixels = np.tile(np.linspace(0, 255, ROI_SIZE).astype(np.uint8), (len(scales), ROI_SIZE, 1))
    changes = tuple(FrameChange(Frame.PREPROCESSED, Frame.ROI).cropped(9, 9).scaled(*scale) for scale in scales)
    return RoiBatch(pixels, changes)


@pytest.mark.parametrize(
    ("scale", "share"),
    [((0.2, 0.2), 0), ((1, 1), 0), ((2, 2), 0.5), ((-2, 2), 0.5), ((4, 1), 0.5), ((4, 4), 1), ((9, 9), 1)],
)
def test_enlargement_grows_by_the_logarithm_up_to_fourfold(scale: tuple[float, float], share: float) -> None:
    assert enlargement(_rois(scale)) == pytest.approx([share])


def test_no_roi_has_no_enlargement() -> None:
    assert enlargement(_rois()).shape == (0,)


def test_the_shift_meets_enlarged_rois_alone(bundle: Bundle) -> None:
    rois = _rois((1, 1), (2, 2), (4, 4))
    (bundled,) = bundle.of_roles("segment")
    files = {NETWORK: bundle.folder / bundled.manifest.files[NETWORK].file}
    masks = [
        OnnxSegmenter.open(files, bundled.settings.model_copy(update={"enlarged_shift": shift})).segment(rois)
        for shift in (0.0, 1.5)
    ]
    middle = np.s_[:, ROI_SIZE // 2, ROI_SIZE // 2]
    before, after = (np.log(mask.probabilities[middle] / (1 - mask.probabilities[middle])) for mask in masks)
    assert after - before == pytest.approx([0, 0.75, 1.5], abs=0.02)
