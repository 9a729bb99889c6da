"""Manifests of schema 1, which had four fixed stages: read as a list of steps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammoscope.stages.manifests import (
    AVERAGE_MASK,
    BundleManifest,
    Metrics,
    OperatingPoint,
    Provenance,
    Role,
    Sha256,
    Share,
    StepFile,
    StepManifest,
)
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings
from mammoscope.stages.step import NETWORK, SELECT

_AVERAGE_MASK_FILE = "average_mask.png"
_ONNX = "onnx"
_MASK_HASH = frozenset({"average_mask_sha256"})
_THRESHOLD = frozenset({"threshold"})  # of the bundle, in a list of steps


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Stage(_Record):
    implementation: str = _ONNX
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    sha256: Sha256
    input_height: int
    input_width: int
    mean: float
    std: float
    contrast: ContrastSettings
    provenance: Provenance


class _Detector(_Stage):
    threshold: Share
    floor: float = 0.03
    nms_iou: float = 0.3
    vote_iou: float = 1.0
    box_scale: float = 1.0
    max_regions: int = 100


class _Reducer(_Stage):
    mass_fraction: float
    weight: float


class _Segmenter(_Stage):
    threshold: float
    enlarged_shift: float = 0.0
    average_mask_sha256: Sha256 | None = None


class _Classifier(_Stage):
    threshold: Share
    slope: float
    intercept: float


class ManifestOfSchema1(_Record):
    """What ``bundle.json`` held before it was a list of steps."""

    schema_version: Literal["1"]
    name: str
    version: str
    licence: str
    notice: str
    preprocess: PreprocessSettings
    detector: _Detector
    reducer: _Reducer | None = None
    segmenter: _Segmenter
    classifier: _Classifier
    pipeline_metrics: Metrics = Field(default_factory=dict)

    def as_steps(self) -> BundleManifest:
        """The same bundle as a list of steps."""
        average = self.segmenter.average_mask_sha256
        mask = {AVERAGE_MASK: StepFile(file=_AVERAGE_MASK_FILE, sha256=average)} if average else {}
        return BundleManifest(
            name=self.name,
            version=self.version,
            licence=self.licence,
            notice=self.notice,
            preprocess=self.preprocess,
            thresholds=OperatingPoint(detection=self.detector.threshold, malignancy=self.classifier.threshold),
            steps=(
                _step("detect", "onnx-detector", self.detector, leave_out=_THRESHOLD),
                *([_step("rescore", "onnx-rescorer", self.reducer)] if self.reducer else []),
                StepManifest(name=SELECT, role="select", implementation=SELECT),
                _step(
                    "segment",
                    "onnx-segmenter",
                    self.segmenter,
                    leave_out=_MASK_HASH,
                    files=mask,
                ),
                _step("classify", "onnx-classifier", self.classifier, leave_out=_THRESHOLD),
            ),
            metrics=self.pipeline_metrics,
        )


def _step(
    role: Role,
    built_in: str,
    stage: _Stage,
    *,
    leave_out: frozenset[str] = frozenset(),
    files: dict[str, StepFile] | None = None,
) -> StepManifest:
    """A stage as a step of the name of its role."""
    settings: dict[str, Any] = stage.model_dump(exclude={"implementation", "file", "sha256", "provenance"} | leave_out)
    return StepManifest(
        name=role,
        role=role,
        implementation=built_in if stage.implementation == _ONNX else stage.implementation,
        settings=settings,
        files={NETWORK: StepFile(file=stage.file, sha256=stage.sha256), **(files or {})},
        provenance=stage.provenance,
    )
