"""What a bundle's manifest holds: a list of steps, each with its settings, files and provenance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.stages.step import SELECT

AVERAGE_MASK = "average_mask"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Role = Literal["detect", "rescore", "select", "segment", "classify", "joint", "other"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Record):
    """A measured value with its 95% interval (bootstrap over patients)."""

    value: float
    ci95: tuple[float, float]


Metrics = dict[str, Figure | float | int]


class Provenance(_Record):
    """Where a model comes from and how good it was found to be."""

    family: str | None = Field(default=None, description="Name of the architecture; null: from before families.")
    recipe: dict[str, Any] = Field(description="Every setting of the training.")
    data: str = Field(description="Name of the dataset.")
    data_sha256: str
    split: str = Field(description="How patients were divided, with the seed.")
    training_patients: int
    validation_patients: int
    epochs: int
    code_version: str = Field(description="Version of mammoscope that trained it, with the commit where it is known.")
    licence: str
    credits: tuple[str, ...] = Field(description="Whose pretrained weights and data it builds on.")
    onnx_difference: float = Field(description="Largest difference of the ONNX output from the 32-bit torch output.")
    metrics: Metrics = Field(default_factory=dict, description="On the validation patients.")


class StepFile(_Record):
    """A file of a step, in the bundle's folder."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
    sha256: Sha256


class StepManifest(_Record):
    """One step of the chain."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] = Field(description="In times, progress and errors.")
    role: Role = Field(description="What it does, by which it is measured and fitted; other: nothing of these.")
    implementation: str = Field(description="A built-in step, or an entry point of the group mammoscope.steps.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Checked by the implementation.")
    files: dict[str, StepFile] = Field(default_factory=dict, description="By what they are to the implementation.")
    provenance: Provenance | None = None


class OperatingPoint(_Record):
    """The thresholds that were chosen on validation patients."""

    detection: Share = Field(description="Candidates below this detection score are not reported.")
    malignancy: Share = Field(description="Findings at or above this malignancy score are called malignant.")


class LocalCalibration(_Record):
    """Cases that thresholds and malignancy scores of a bundle were fitted to after it was built."""

    data: str = Field(description="Name of the dataset.")
    data_sha256: str
    patients: int
    images: int
    lesions: int
    bundle_sha256: Sha256 = Field(description="Of the manifest of the bundle as it was before.")


class BundleManifest(_Record):
    """What ``bundle.json`` holds."""

    schema_version: Literal["2"] = "2"
    name: str
    version: str
    licence: str
    notice: str
    preprocess: PreprocessSettings
    thresholds: OperatingPoint
    steps: tuple[StepManifest, ...] = Field(
        description="In the order in which they run. Exactly one is the selection, where candidates below the "
        "detection threshold are dropped: the steps before it find, those after it grade."
    )
    metrics: Metrics = Field(
        default_factory=dict,
        description="Of the whole chain on the validation patients, where it finds as many regions as there are "
        "lesions, and at 1 false positive an image.",
    )

    calibrated: LocalCalibration | None = Field(
        default=None, description="Null: thresholds and malignancy scores are those of the validation patients."
    )

    @model_validator(mode="after")
    def _steps_make_a_chain(self) -> BundleManifest:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError(f"two steps have one name: {', '.join(names)}")
        selections = [step.name for step in self.steps if step.role == "select"]
        if len(selections) != 1:
            raise ValueError(f"steps hold {len(selections)} of role 'select', expected one: {', '.join(names)}")
        if any((step.role == "select") != (step.implementation == SELECT) for step in self.steps):
            raise ValueError(f"the step of role 'select' has another implementation than {SELECT!r}, or the reverse")
        if not any(step.role in {"detect", "joint", "other"} for step in self.finding):
            raise ValueError("no step before the selection finds anything")
        return self

    @property
    def finding(self) -> tuple[StepManifest, ...]:
        """The steps before the selection."""
        roles = [step.role for step in self.steps]
        return self.steps[: roles.index("select")]

    @property
    def grading(self) -> tuple[StepManifest, ...]:
        """The steps after the selection."""
        roles = [step.role for step in self.steps]
        return self.steps[roles.index("select") + 1 :]

    def first(self, role: str) -> StepManifest | None:
        """The first step of a role; None: there is none."""
        return next((step for step in self.steps if step.role == role), None)

    def with_settings(self, name: str, **settings: Any) -> BundleManifest:
        """This manifest with other settings of the step of that name."""
        steps = tuple(
            step.model_copy(update={"settings": {**step.settings, **settings}}) if step.name == name else step
            for step in self.steps
        )
        return self.model_copy(update={"steps": steps})

    def with_metrics(self, name: str, metrics: Metrics) -> BundleManifest:
        """This manifest with other figures of the step of that name, which has a provenance."""
        steps = tuple(
            step.model_copy(update={"provenance": step.provenance.model_copy(update={"metrics": metrics})})
            if step.name == name and step.provenance
            else step
            for step in self.steps
        )
        return self.model_copy(update={"steps": steps})
