"""Rescorers in a bundle: the weight of their logits beside the detector's scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundling.calibration import best_rescorer_weight
from mammoscope.bundling.roles.maker import StepMaker, alone, as_inputs, before, input_settings
from mammoscope.bundling.validation import example_rois
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.cases import detected_images, exam_cases, run
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.families.recipe import RescorerRecipe
from mammoscope.stages.manifests import BundleManifest, Metrics, StepManifest
from mammoscope.stages.rescore import OnnxRescorer


class RescorerMaker(StepMaker[RescorerRecipe]):
    """See ``StepMaker``."""

    role = "rescore"
    implementation = "onnx-rescorer"

    def settings(self, recipe: RescorerRecipe, *, rescored: bool) -> dict[str, Any]:
        """The weight of its logits is still 0."""
        return {**input_settings(recipe, recipe.input_size), "mass_fraction": recipe.mass_fraction, "weight": 0.0}

    def examples(self, recipe: RescorerRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
        """ROIs of the first lesions."""
        rois, _ = example_rois(validation, recipe.preprocess)
        return [{"regions": as_inputs(rois, recipe.input_size, recipe)}]

    def metrics(self, header: Mapping[str, Any]) -> Metrics:
        """Its own AUC, regions on a mass against others; its effect on the detector is measured with the detector."""
        auc = float(header["metrics"]["auc"])
        return {"auc": round(auc, 4)} if np.isfinite(auc) else {}  # missing if no region was on a mass

    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """The weight, for what the steps before it find."""
        finding = before(manifest, step.name, folder)
        rescorer = cast(OnnxRescorer, alone(manifest, step.name, folder).steps[0].step)
        found: dict[str, tuple[DetectedImage, NDArray[np.float64]]] = {}
        for case in exam_cases(validation, finding):
            candidates = rescorer.own(run(finding.finding, case.exam, Candidates.none(), case.place))
            for view, detected in enumerate(detected_images(validation, case, candidates)):
                boxes = candidates.of_view(view).ranked().boxes
                logits = rescorer.logits(case.exam.breast(view), boxes) if len(boxes) else np.zeros(0)
                found[detected.image] = detected, logits
        in_order = [found[image] for image in validation.images]
        return {"weight": best_rescorer_weight([image for image, _ in in_order], [logits for _, logits in in_order])}
