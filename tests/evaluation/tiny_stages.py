"""Small, real steps and a small dataset, so that evaluations run in a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle, BundledStep
from mammoscope.candidates import Candidates, Masks
from mammoscope.datasets.layout import Lesion, write_table
from mammoscope.stages.manifests import AVERAGE_MASK, BundleManifest, OperatingPoint, StepFile, StepManifest
from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import PreparedExam, Step, StepSettings


class Tiny:
    """What the steps below are to a bundle."""

    scope = "view"
    row_by_row = True
    Settings = StepSettings


class BrightSpots(Tiny):
    """A detector that boxes every bright spot; the larger, the surer."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        count, _, stats, _ = cv2.connectedComponentsWithStats((exam.breast().pixels > 200).astype(np.uint8))
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]], dtype=np.float64).reshape(-1, 4)
        return Candidates.on_view(boxes, np.clip((boxes[:, 2] - boxes[:, 0]) / 60, 0, 1)).ranked()


class Brightness(Tiny):
    """A segmenter for which brightness is probability."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        rois = rois_of(exam, found)
        return replace(found, rois=rois, masks=Masks(rois.pixels.astype(np.float32) / 255, 0.5))


class MaskSize(Tiny):
    """A classifier for which the smaller share of the ROI is mass, the likelier it is malignant."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        assert found.rois is not None and found.masks is not None
        assert found.rois.pixels.shape == found.masks.probabilities.shape
        share = found.masks.binary.mean(axis=(1, 2)) if len(found) else np.zeros(0)
        return replace(found, malignancy_score=1 - share)


ROLES = {"detector": "detect", "segmenter": "segment", "classifier": "classify"}


def with_step(bundle: Bundle, stage: str, step: Step) -> Bundle:
    """A bundle in which a stage is done by another step, which needs no entry point."""
    changed = replace(bundle)
    for part in ("finding", "grading"):
        changed.__dict__[part] = tuple(
            _bundled(stage, step) if bundled.manifest.name == stage else bundled for bundled in getattr(bundle, part)
        )
    return changed


def with_manifest(bundle: Bundle, **changes: object) -> Bundle:
    """A bundle with other entries in its manifest, and the same steps."""
    changed = replace(bundle, manifest=bundle.manifest.model_copy(update=changes))
    changed.__dict__.update(finding=bundle.finding, grading=bundle.grading)
    return changed


def with_average_mask(bundle: Bundle, grey: NDArray[np.uint8]) -> Bundle:
    """A bundle that holds the mean of its training masks ``(S, S)``."""
    cv2.imwrite(str(bundle.folder / "average_mask.png"), grey)
    files = {AVERAGE_MASK: StepFile(file="average_mask.png", sha256="0" * 64)}
    segmenter, *others = bundle.grading
    changed = replace(bundle)
    holding = BundledStep(bundle.folder, segmenter.manifest.model_copy(update={"files": files}))
    holding.__dict__.update(step=segmenter.step, implementation=segmenter.implementation, settings=segmenter.settings)
    changed.__dict__.update(finding=bundle.finding, grading=(holding, *others))
    return changed


def tiny_bundle(folder: Path) -> Bundle:
    """A bundle whose steps are the ones above."""
    names = {"detector": BrightSpots(), "segmenter": Brightness(), "classifier": MaskSize()}
    steps = {name: _bundled(name, step) for name, step in names.items()}
    select = StepManifest(name="select", role="select", implementation="select")
    manifest = BundleManifest(
        name="tiny",
        version="1",
        licence="none",
        notice="none",
        preprocess=PreprocessSettings(),
        thresholds=OperatingPoint(detection=0.3, malignancy=0.5),
        steps=(steps["detector"].manifest, select, steps["segmenter"].manifest, steps["classifier"].manifest),
    )
    bundle = Bundle(folder, manifest, "f" * 64)
    bundle.__dict__.update(finding=(steps["detector"],), grading=(steps["segmenter"], steps["classifier"]))
    return bundle


def _bundled(name: str, step: Step) -> BundledStep:
    made = BundledStep(Path(), StepManifest(name=name, role=ROLES[name], implementation="tiny"))
    made.__dict__.update(step=step, implementation=type(step), settings=StepSettings())
    return made


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
