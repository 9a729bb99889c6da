"""Classifiers in a bundle: the calibration that turns their logits into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundling.calibration import fit_platt
from mammoscope.bundling.roles.maker import StepMaker, alone, as_inputs, at_size, before, input_settings
from mammoscope.bundling.validation import crop_cases, cut_cases, example_rois
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import BundleError
from mammoscope.evaluation.cases import graded_alone
from mammoscope.families.recipe import ClassifierRecipe
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.manifests import BundleManifest, StepManifest
from mammoscope.stages.onnx import softmax


class ClassifierMaker(StepMaker[ClassifierRecipe]):
    """See ``StepMaker``."""

    role = "classify"
    implementation = "onnx-classifier"

    def settings(self, recipe: ClassifierRecipe, *, rescored: bool) -> dict[str, Any]:
        """Logits are used unchanged."""
        return {**input_settings(recipe, recipe.input_size), "slope": 1.0, "intercept": 0.0}

    def examples(self, recipe: ClassifierRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
        """ROIs of the first lesions, with their masks."""
        rois, masks = example_rois(validation, recipe.preprocess)
        inside = torch.from_numpy(np.stack(at_size(masks, recipe.input_size)) > 127)[:, None].float()
        return [{"roi": as_inputs(rois, recipe.input_size, recipe), "mask": inside}]

    def comparable(self, outputs: Sequence[NDArray[np.float32]], recipe: ClassifierRecipe) -> list[NDArray[np.float32]]:
        """Probabilities: of malignancy, and of the words of each attribute."""
        logit, *attributes = outputs
        return [*super().comparable([logit], recipe), *map(softmax, attributes)]

    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """Slope and intercept, on crops and on cuts, with the masks that the steps before it draw."""
        earlier = before(manifest, step.name, folder)
        classifier = cast(OnnxClassifier, alone(manifest, step.name, folder).steps[0].step)
        logits, malignant = [], []
        for case in chain(crop_cases(validation), cut_cases(validation, manifest.preprocess)):
            if case.lesion.malignant is None:
                continue
            graded = graded_alone(earlier, case.exam, case.truth, case.lesion.image)
            if graded.rois is None or graded.masks is None:
                raise BundleError(f"step {step.name!r} needs outlines, and no step of the bundle before it draws any")
            logits.append(classifier.logits(graded.rois, graded.masks))
            malignant.append(case.lesion.malignant)
        fitted = fit_platt(np.concatenate(logits), np.array(malignant))
        return {"slope": fitted.slope, "intercept": fitted.intercept}
