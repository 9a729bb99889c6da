"""What the families of a role share: input and output of their networks, and the usual loss.

A family derives from one of these; most need to add only ``network``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.attributes import Attributes
from mammoscope.families.family import Exported, Family, Fitted, RoleName
from mammoscope.families.mask_losses import mask_losses
from mammoscope.families.recipe import (
    BreastRecipe,
    ClassifierRecipe,
    DetectorRecipe,
    GeneratorRecipe,
    JointRecipe,
    RescorerRecipe,
    SegmenterRecipe,
)
from mammoscope.families.samples import (
    BreastImage,
    ClassifierBatch,
    DetectorBatch,
    GeneratorBatch,
    GradedImage,
    JointBatch,
    LesionViews,
    MassPicture,
    ProposedImage,
    RescorerBatch,
    SegmenterBatch,
)
from mammoscope.kinds import DEFAULT_KIND, KINDS
from mammoscope.stages.joint import OUTPUTS

BreastT = TypeVar("BreastT", bound=BreastRecipe)
ImageT = TypeVar("ImageT", bound=BreastImage)
BatchT = TypeVar("BatchT", bound=DetectorBatch)
DetectorT = TypeVar("DetectorT", bound=DetectorRecipe)
JointT = TypeVar("JointT", bound=JointRecipe)
RescorerT = TypeVar("RescorerT", bound=RescorerRecipe)
SegmenterT = TypeVar("SegmenterT", bound=SegmenterRecipe)
ClassifierT = TypeVar("ClassifierT", bound=ClassifierRecipe)
GeneratorT = TypeVar("GeneratorT", bound=GeneratorRecipe)


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector finds on one image: ``boxes (N, 4)`` in its pixels, ``scores (N,)``, overlapping ones joined.

    ``kinds (N,)`` are names of kinds; None: all of them the default.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    kinds: NDArray[np.str_] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False)
class GradedFound(Found):
    """What a joint network finds on one image: logits too, above 0 for malignant, ``(N,)`` and of the whole image."""

    malignancy: NDArray[np.float64]
    image: float


FoundT = TypeVar("FoundT", bound=Found)


class BreastFamily(Family[BreastT, ImageT, BatchT], Generic[BreastT, ImageT, BatchT, FoundT]):
    """Networks that see a whole breast and find regions on it.

    Attributes
    ----------
    outputs
        Of the network that the bundle runs.
    """

    outputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[FoundT]:
        """The detections of a network on each of ``images (N, 1, S, S)``, for validation while it is trained."""

    @abstractmethod
    def decoded(self, network: nn.Module, recipe: BreastT, fitted: Fitted) -> nn.Module:
        """The network that the bundle runs: ``(1, 1, S, S)`` to ``outputs``, of as many rows as there are regions.

        ``boxes (A, 4)`` are in input pixels, ``scores (A,)`` in [0, 1]. The bundle joins overlapping boxes.
        """

    def export(self, network: nn.Module, recipe: BreastT, fitted: Fitted) -> Exported:
        """One image at a time."""
        example = {"image": torch.zeros(1, 1, recipe.input_size, recipe.input_size)}
        return Exported(self.decoded(network.eval(), recipe, fitted), example, self.outputs, dynamic_batch=False)


class DetectorFamily(BreastFamily[DetectorT, BreastImage, DetectorBatch, Found]):
    """Detectors: a whole breast, to boxes and scores.

    Attributes
    ----------
    tells_kinds
        Whether its networks have a class for each kind of lesion that they learn from: then ``fitted`` gives ``kinds``,
        see ``kinds_of``, and with several of them ``scores`` are ``(A, K)``. The others learn from masses alone.
    """

    role: ClassVar[RoleName] = "detect"
    outputs: ClassVar = ("boxes", "scores")
    tells_kinds: ClassVar[bool] = False

    def export(self, network: nn.Module, recipe: DetectorT, fitted: Fitted) -> Exported:
        """One image at a time; the step is told the kinds, where they are not the default."""
        exported, kinds = super().export(network, recipe, fitted), fitted_kinds(fitted)
        return exported if kinds == (DEFAULT_KIND,) else replace(exported, settings={"kinds": list(kinds)})


def kinds_of(samples: Sequence[BreastImage]) -> list[str]:
    """The kinds of the samples' lesions, in the order of the table of kinds."""
    present = {str(name) for image in samples if image.kinds is not None for name in image.kinds}
    if any(image.kinds is None and len(image.boxes) for image in samples):
        present.add(DEFAULT_KIND)
    return [kind.name for kind in KINDS if kind.name in present]


def fitted_kinds(fitted: Fitted) -> tuple[str, ...]:
    """The kinds that a detector learned; those of trainings of before are of the default."""
    return tuple(fitted.get("kinds", (DEFAULT_KIND,)))


class JointFamily(BreastFamily[JointT, GradedImage, JointBatch, GradedFound]):
    """Joint networks: a whole breast, to boxes, scores, outlines and malignancy.

    ``masks (A, h, w)`` are probabilities, each stretched over its box; ``malignancy (A,)`` are logits, above 0 for
    malignant. See ``mammoscope.stages.joint``.
    """

    role: ClassVar[RoleName] = "joint"
    outputs: ClassVar = OUTPUTS


class RescorerFamily(Family[RescorerT, ProposedImage, RescorerBatch]):
    """Rescorers: ``regions (N, 1, S, S)`` to logits ``(N,)``, above 0 for a mass."""

    role: ClassVar[RoleName] = "rescore"

    def loss(
        self, network: nn.Module, batch: RescorerBatch, recipe: RescorerT, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Cross entropy with each region's share of a mass."""
        with autocast:
            logits = network(batch.regions)
        return {"loss": functional.binary_cross_entropy_with_logits(logits.float(), batch.shares)}

    def export(self, network: nn.Module, recipe: RescorerT, fitted: Fitted) -> Exported:
        """The network unchanged."""
        return Exported(
            network.eval(), {"regions": torch.zeros(2, 1, recipe.input_size, recipe.input_size)}, ("logit",)
        )


class SegmenterFamily(Family[SegmenterT, LesionViews, SegmenterBatch]):
    """Segmenters: ``rois (N, 1, S, S)`` to logits of the same shape; their sigmoid is the mass's probability."""

    role: ClassVar[RoleName] = "segment"

    def loss(
        self, network: nn.Module, batch: SegmenterBatch, recipe: SegmenterT, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """The one that the recipe names, see ``mammoscope.families.mask_losses``."""
        with autocast:
            logits = network(batch.rois)
        return mask_losses(logits.float(), batch.masks, recipe)

    def export(self, network: nn.Module, recipe: SegmenterT, fitted: Fitted) -> Exported:
        """The network unchanged."""
        return Exported(network.eval(), {"roi": torch.zeros(2, 1, recipe.input_size, recipe.input_size)}, ("logits",))


class ClassifierFamily(Family[ClassifierT, LesionViews, ClassifierBatch]):
    """Classifiers: ``rois`` and ``masks``, ``(N, 1, S, S)`` each, to logits ``(N,)``, above 0 for malignant.

    The exported network may say more of a lesion, see ``mammoscope.stages.classify.OnnxClassifier``: an output beside
    ``logit`` for each attribute, and its words in the setting ``attributes``.
    """

    role: ClassVar[RoleName] = "classify"

    def loss(
        self, network: nn.Module, batch: ClassifierBatch, recipe: ClassifierT, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Cross entropy with smoothed labels, see ``smoothed_cross_entropy``."""
        with autocast:
            logits = network(batch.rois, batch.masks)
        return {"loss": smoothed_cross_entropy(logits.float(), batch.malignant, recipe.label_smoothing)}

    def export(self, network: nn.Module, recipe: ClassifierT, fitted: Fitted) -> Exported:
        """The network unchanged."""
        # Two tensors: one that served as both would become a single input of the file.
        example = {name: torch.zeros(2, 1, recipe.input_size, recipe.input_size) for name in ("roi", "mask")}
        return Exported(network.eval(), example, ("logit",))


class GeneratorFamily(Family[GeneratorT, MassPicture, GeneratorBatch]):
    """Generators: tissue with a blank, mask and weights ``(N, 3, S, S)``, words ``(N, K)`` and noise to a mass.

    The blank is 0, where the weights are above 0. The mass ``(N, 1, S, S)`` is normalised like the tissue. No bundle
    runs a generator: it paints training samples of other networks.
    """

    role: ClassVar[RoleName] = "generate"

    @abstractmethod
    def noise_shape(self, recipe: GeneratorT) -> tuple[int, ...]:
        """Of the noise of one image, from which follows what its outline and words leave open."""

    def fitted(self, recipe: GeneratorT, samples: Sequence[MassPicture]) -> dict[str, Any]:
        """The words of shapes and margins that are common enough to learn."""
        return {"words": Attributes.fit([sample.lesion for sample in samples]).spoken}

    def paint(self, network: nn.Module, batch: GeneratorBatch, noise: Tensor, autocast: torch.autocast) -> Tensor:
        """The ROIs ``(N, 1, S, S)`` of a batch with a mass in each; nothing is changed where the weights are 0."""
        blank = torch.where(batch.weights > 0, 0.0, batch.rois)
        with autocast:
            mass: Tensor = network(torch.cat([blank, batch.masks, batch.weights], dim=1), batch.words, noise)
        return batch.rois + batch.weights * (mass.float() - batch.rois)

    def export(self, network: nn.Module, recipe: GeneratorT, fitted: Fitted) -> Exported:
        """Refused."""
        raise RecipeError(f"{self.name} is a generator, which is no step of a bundle: it paints training samples")


def smoothed_cross_entropy(logits: Tensor, malignant: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of ``(N,)`` logits with labels of 0 and 1, drawn towards 0.5 (Szegedy et al. 2016)."""
    return functional.binary_cross_entropy_with_logits(logits, malignant * (1 - smoothing) + smoothing / 2)
