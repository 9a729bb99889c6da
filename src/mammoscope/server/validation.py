"""What the bundle's thresholds found on its validation patients: as its manifest states it, and nothing beyond."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from mammoscope.findings import Score
from mammoscope.stages.manifests import BundleManifest, Figure

_CHOSEN = "at_lesion_count"  # where the bundle's detection threshold is chosen
_OTHERS = ("at_one_false_positive",)
_SENSITIVITY, _FALSE_POSITIVES = "detected", "false_positives_per_image"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Model):
    """A figure with its 95% interval, a bootstrap over patients."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, figure: Figure) -> Estimate:
        """A figure of a manifest as the page takes it."""
        return cls(value=figure.value, low=figure.ci95[0], high=figure.ci95[1])


class ValidationPoint(_Model):
    """What one detection threshold found."""

    threshold: Score | None = Field(description="Null: the bundle does not state which one it was.")
    sensitivity: Estimate = Field(description="Share of the lesions that were found, at IoU 0.5 or more.")
    false_positives_per_image: Estimate


class Validation(_Model):
    """What was found on the patients that the models were not trained on, but their thresholds were chosen on."""

    data: str = Field(description="Name of the dataset.")
    split: str = Field(description="How its patients were divided.")
    patients: int
    images: int
    lesions: int
    points: tuple[ValidationPoint, ...]

    @classmethod
    def of(cls, manifest: BundleManifest) -> Validation | None:
        """What a manifest states; None where it states no point, as after a local calibration."""
        points = tuple(_points(manifest))
        source = next((step.provenance for step in manifest.finding if step.provenance), None)
        images, lesions = manifest.metrics.get("images"), manifest.metrics.get("lesions")
        if not points or source is None or not isinstance(images, int) or not isinstance(lesions, int):
            return None
        return cls(
            data=source.data,
            split=source.split,
            patients=source.validation_patients,
            images=images,
            lesions=lesions,
            points=points,
        )


def _points(manifest: BundleManifest) -> Iterator[ValidationPoint]:
    for name in (_CHOSEN, *_OTHERS):
        sensitivity, false = (manifest.metrics.get(f"{name}.{key}") for key in (_SENSITIVITY, _FALSE_POSITIVES))
        if not isinstance(sensitivity, Figure) or not isinstance(false, Figure):
            continue
        # Bundles of before state no thresholds of points, but the one that was chosen is their own.
        chosen = manifest.thresholds.detection if name == _CHOSEN else None
        stated = manifest.metrics.get(f"{name}.threshold", chosen)
        yield ValidationPoint(
            threshold=None if isinstance(stated, Figure) else stated,
            sensitivity=Estimate.of(sensitivity),
            false_positives_per_image=Estimate.of(false),
        )
