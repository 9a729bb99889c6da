"""The model bundle: a folder with ``bundle.json`` and ONNX files, each checked against its SHA-256 before use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammoscope.errors import BundleError
from mammoscope.findings import BundleIdentity
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings
from mammoscope.stages.rescore import ReducedDetector
from mammoscope.stages.step import Classifier, Detector, Reducer, Segmenter

MANIFEST = "bundle.json"
AVERAGE_MASK = "average_mask.png"
_READ_BYTES = 1 << 20


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Record):
    """A measured value with its 95% interval (bootstrap over patients)."""

    value: float
    ci95: tuple[float, float]


class Provenance(_Record):
    """Where a model comes from and how good it was found to be."""

    recipe: dict[str, Any] = Field(description="Every setting of the training.")
    data: str = Field(description="Name of the dataset.")
    data_sha256: str
    split: str = Field(description="How patients were divided, with the seed.")
    training_patients: int
    validation_patients: int
    epochs: int
    code_version: str
    licence: str
    credits: tuple[str, ...] = Field(description="Whose pretrained weights and data it builds on.")
    onnx_difference: float = Field(description="Largest difference of the ONNX output from the 32-bit torch output.")
    metrics: dict[str, Figure | float | int] = Field(default_factory=dict, description="On the validation patients.")


class StageManifest(_Record):
    """One model of the bundle."""

    implementation: str = Field(default="onnx", description="Entry point that loads it.")
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    sha256: Sha256
    input_height: Annotated[int, Field(ge=32, le=8192)]
    input_width: Annotated[int, Field(ge=32, le=8192)]
    mean: float = Field(description="Subtracted from pixels scaled to [0, 1].")
    std: Annotated[float, Field(gt=0)]
    contrast: ContrastSettings
    provenance: Provenance


class DetectorManifest(StageManifest):
    """The detector: input ``(1, 1, H, W)``, outputs ``boxes (A, 4)`` in input pixels and ``scores (A,)``."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    floor: Annotated[float, Field(ge=0, le=1)] = 0.03
    nms_iou: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.3, description="Of suppress_overlaps.")
    vote_iou: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="Of vote_boxes; 1 leaves boxes be.")
    box_scale: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Of each box's sides about its middle: boxes tend to be short. Fitted on validation."
    )
    max_regions: Annotated[int, Field(ge=1, le=1000)] = 100


class ReducerManifest(StageManifest):
    """The false-positive reducer: input ``regions (N, 1, S, S)``, output ``logit (N,)``: above 0 speaks for a mass.

    A region's score is the weighted mean of the detector's logit and this one's, through the logistic function.
    """

    mass_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of the square's side that the region takes: the rest is tissue around it."
    )
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Of the reducer's logit; 0 leaves the detector's scores be. Fitted on validation patients."
    )


class SegmenterManifest(StageManifest):
    """The segmenter: input ``(N, 1, H, W)``, output ``logits (N, 1, H, W)``."""

    threshold: Annotated[float, Field(gt=0, lt=1)]
    enlarged_shift: float = Field(
        default=0.0,
        description="Added to the logits of an ROI that was enlarged fourfold or more, and less of it to one enlarged "
        "less: blurred masses are outlined too small. Fitted on validation patients.",
    )
    average_mask_sha256: Sha256 | None = Field(
        default=None, description="Of average_mask.png, the mean training mask, which figures are compared with."
    )


class ClassifierManifest(StageManifest):
    """The classifier: inputs ``roi (N, 1, H, W)`` and ``mask (N, 1, H, W)`` of 0 and 1, output ``logit (N,)``.

    The probability is ``sigmoid(slope * logit + intercept)`` (Platt 1999), fitted on validation patients.
    """

    threshold: Annotated[float, Field(ge=0, le=1)]
    slope: float
    intercept: float


class BundleManifest(_Record):
    """What ``bundle.json`` holds."""

    schema_version: Literal["1"] = "1"
    name: str
    version: str
    licence: str
    notice: str
    preprocess: PreprocessSettings
    detector: DetectorManifest
    reducer: ReducerManifest | None = None
    segmenter: SegmenterManifest
    classifier: ClassifierManifest
    pipeline_metrics: dict[str, Figure | float | int] = Field(
        default_factory=dict,
        description="Of the whole chain on the validation patients, where it finds as many regions as there are "
        "lesions, and at 1 false positive an image.",
    )

    @property
    def models(self) -> tuple[StageManifest, ...]:
        """Those that the bundle holds, in the order in which an analysis runs them."""
        return (self.detector, *([self.reducer] if self.reducer else []), self.segmenter, self.classifier)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. ``sha256`` is the hash of its manifest, which holds the hash of every model file."""

    folder: Path
    manifest: BundleManifest
    sha256: str

    @property
    def identity(self) -> BundleIdentity:
        """Name, version and hash, as every analysis carries them."""
        return BundleIdentity(name=self.manifest.name, version=self.manifest.version, sha256=self.sha256)

    @cached_property
    def detector(self) -> Detector:
        """The detector, with the reducer behind it where there is one; loaded at first use."""
        return ReducedDetector(self.proposer, self.reducer) if self.reducer else self.proposer

    @cached_property
    def proposer(self) -> Detector:
        """The detector alone, loaded at first use."""
        return cast(Detector, self._load("mammoscope.detectors", self.manifest.detector))

    @cached_property
    def reducer(self) -> Reducer | None:
        """The false-positive reducer, loaded at first use; None where there is none."""
        if self.manifest.reducer is None:
            return None
        return cast(Reducer, self._load("mammoscope.reducers", self.manifest.reducer))

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter, loaded at first use."""
        return cast(Segmenter, self._load("mammoscope.segmenters", self.manifest.segmenter))

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, loaded at first use."""
        return cast(Classifier, self._load("mammoscope.classifiers", self.manifest.classifier))

    def _load(self, group: str, stage: StageManifest) -> object:
        found = entry_points(group=group, name=stage.implementation)
        if not found:
            raise BundleError(f"{self.folder / MANIFEST}: no {group} entry point is named {stage.implementation!r}")
        return next(iter(found)).load()(self.folder / stage.file, stage)


def default_bundle_folder() -> Path:
    """The bundle that ships inside the package."""
    return Path(str(files("mammoscope") / "bundles" / "default"))


def load_bundle(folder: Path | None = None) -> Bundle:
    """Read a bundle and check every model file against its hash. Nothing is unpickled.

    Parameters
    ----------
    folder
        The bundle's folder; None takes the one that ships with mammoscope.

    Raises
    ------
    BundleError
        A file is missing or altered, or the manifest is not one of this version; names the file and the thing.
    """
    folder = folder or default_bundle_folder()
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        manifest = BundleManifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BundleError(f"{path}: {place}: {first['msg']}") from None
    for stage in manifest.models:
        _check_file(folder / stage.file, stage.sha256)
    if manifest.segmenter.average_mask_sha256:
        _check_file(folder / AVERAGE_MASK, manifest.segmenter.average_mask_sha256)
    return Bundle(folder, manifest, hashlib.sha256(raw).hexdigest())


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_file(path: Path, expected: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    if found != expected:
        raise BundleError(f"{path}: its SHA-256 is {found}, the manifest says {expected}: the file was altered")
