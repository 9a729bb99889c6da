"""The provenance of a model that was never trained, for manifests made in tests."""

from __future__ import annotations

from mammoscope.stages.manifests import Provenance

NO_PROVENANCE = Provenance(
    recipe={},
    data="none",
    data_sha256="",
    split="none",
    training_patients=0,
    validation_patients=0,
    epochs=0,
    code_version="0",
    licence="none",
    credits=(),
    onnx_difference=0.0,
)
