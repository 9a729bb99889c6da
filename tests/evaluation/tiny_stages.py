"""Small, real stages and a small dataset, so that evaluations run in a second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import (
    Bundle,
    BundleManifest,
    ClassifierManifest,
    DetectorManifest,
    SegmenterManifest,
)
from mammoscope.datasets.layout import Lesion, write_table
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed, PreprocessSettings
from mammoscope.stages.roi import RoiBatch
from mammoscope.stages.step import Masks, Regions
from no_provenance import NO_PROVENANCE


class BrightSpots:
    """A detector that boxes every bright spot; the larger, the surer."""

    def detect(self, image: Preprocessed) -> Regions:
        count, _, stats, _ = cv2.connectedComponentsWithStats((image.pixels > 200).astype(np.uint8))
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]], dtype=np.float64).reshape(-1, 4)
        scores = np.clip((boxes[:, 2] - boxes[:, 0]) / 60, 0, 1)
        order = np.argsort(-scores, kind="stable")
        return Regions(boxes[order], scores[order])


class Brightness:
    """A segmenter for which brightness is probability."""

    def segment(self, rois: RoiBatch) -> Masks:
        return Masks(rois.pixels.astype(np.float32) / 255, 0.5)


class MaskSize:
    """A classifier for which the smaller share of the ROI is mass, the likelier it is malignant."""

    def classify(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        assert rois.pixels.shape == masks.probabilities.shape
        return 1 - masks.binary.mean(axis=(1, 2)) if len(rois) else np.zeros(0)


class TinyBundle(Bundle):
    """A bundle whose stages are the ones above."""

    @cached_property
    def detector(self) -> BrightSpots:
        return BrightSpots()

    @cached_property
    def segmenter(self) -> Brightness:
        return Brightness()

    @cached_property
    def classifier(self) -> MaskSize:
        return MaskSize()


def tiny_bundle(folder: Path) -> TinyBundle:
    stage = {
        "file": "none.onnx",
        "sha256": "0" * 64,
        "input_height": 256,
        "input_width": 256,
        "mean": 0.0,
        "std": 1.0,
        "contrast": ContrastSettings(),
        "provenance": NO_PROVENANCE,
    }
    manifest = BundleManifest(
        name="tiny",
        version="1",
        licence="none",
        notice="none",
        preprocess=PreprocessSettings(),
        detector=DetectorManifest(**stage, threshold=0.3),
        segmenter=SegmenterManifest(**stage, threshold=0.5),
        classifier=ClassifierManifest(**stage, threshold=0.5, slope=1.0, intercept=0.0),
    )
    return TinyBundle(folder, manifest, "f" * 64)


Disc = tuple[int, int, int]  # x, y, radius, in pixels of the original


def breast(discs: Sequence[Disc], *, right: bool = False, height: int = 300, width: int = 240) -> NDArray[np.uint16]:
    """A film with a breast at its left (or right) edge and bright discs in it, given for the left."""
    grey = np.zeros((height, width), dtype=np.uint16)
    cv2.ellipse(grey, (0, height // 2), (int(width * 0.8), int(height * 0.4)), 0, 0, 360, 20000, cv2.FILLED)
    for x, y, radius in discs:
        cv2.circle(grey, (x, y), radius, 60000, cv2.FILLED)
    return np.ascontiguousarray(grey[:, ::-1]) if right else grey


def lesion(image: str, patient: str, disc: Disc, **fields: object) -> Lesion:
    """A row of the table for a disc of a left breast."""
    x, y, radius = disc
    row: dict[str, object] = {
        "image": image,
        "patient_id": patient,
        "breast_side": "LEFT",
        "view": "CC",
        "abnormality_id": "1",
        "x": float(x - radius),
        "y": float(y - radius),
        "width": 2.0 * radius + 1,
        "height": 2.0 * radius + 1,
        "pathology": "BENIGN",
        "crop_flipped": None,
        "pixel_aspect": 300 / 240,
        "box_order_assumed": False,
    }
    texts = ("assessment", "subtlety", "breast_density", "mass_shape", "mass_margins", "crop", "mask")
    return Lesion(**{**dict.fromkeys(texts, ""), **row, **fields})


def write_dataset(folder: Path, images: dict[str, NDArray[np.uint16]], lesions: Sequence[Lesion]) -> Path:
    """A folder in the dataset layout; crops and masks are discs of the size that the crop's name says."""
    for name in ("images", "crops", "masks"):
        (folder / name).mkdir(parents=True)
    for name, pixels in images.items():
        cv2.imwrite(str(folder / "images" / name), pixels)
    for row in lesions:
        if row.crop:
            crop, mask = disc_crop(int(Path(row.crop).stem.split("-")[-1]))
            cv2.imwrite(str(folder / "crops" / row.crop), crop)
            cv2.imwrite(str(folder / "masks" / row.mask), mask)
    write_table(folder / "lesions.csv", lesions)
    return folder


def disc_crop(radius: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A crop with a bright disc, and a mask whose disc is 10 px larger than the bright one."""
    crop, mask = np.full((256, 256), 20, dtype=np.uint8), np.zeros((256, 256), dtype=np.uint8)
    cv2.circle(crop, (128, 128), radius, 90, cv2.FILLED)  # seen only once the contrast is stretched
    cv2.circle(mask, (128, 128), radius + 10, 255, cv2.FILLED)
    return crop, mask
