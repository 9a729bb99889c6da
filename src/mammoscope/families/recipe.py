"""Recipes of trainings: the settings that all have, and those that all of a role have; a family adds its own."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings
from mammoscope.stages.tiles import TileGrid, TileSettings

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
MaskLoss = Literal["dice", "dice_iou", "iou_sobel"]


class Settings(BaseModel):
    """Part of a recipe: frozen, and an unknown setting is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSettings(Settings):
    """Which patients validate."""

    fold: Annotated[int, Field(ge=0)] = 0
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0


class PhaseSettings(Settings):
    """Length and learning rate of a training; a phase takes all other settings from ``loop``."""

    epochs: Count
    learning_rate: Annotated[float, Field(gt=0)]
    drop_epochs: tuple[Count, ...] = Field(
        default=(),
        description="Epochs after which the learning rate falls to a tenth, in place of warm-up and cosine decay.",
    )

    @model_validator(mode="after")
    def _drops_are_within(self) -> Self:
        if any(drop >= self.epochs for drop in self.drop_epochs):
            raise ValueError(f"drop_epochs must lie below epochs, {self.epochs}")
        return self


class LoopSettings(PhaseSettings):
    """How the weights are fitted: optimiser, warm-up and decay of the learning rate, averaged weights."""

    batch_size: Count
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="Of sgd; the others have none.")
    schedule: Literal["cosine", "polynomial", "constant"] = Field(
        default="cosine",
        description="Of the learning rate after the warm-up: half a cosine; (1 - progress) ** 0.9 (Chen et al. 2017, "
        '"DeepLab"); or as it is. drop_epochs take its place.',
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.5
    final_rate: Share = Field(default=0.01, description="Share of the learning rate that is left at the end.")
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    gradient_clip: Annotated[float, Field(gt=0)] = 5.0
    average_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.998, description="Decay of the running average of the weights, which is what is validated and kept."
    )
    seed: int = 0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    loader_threads: Count = 2
    checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
        default=60.0, description="How often the state is saved within an epoch; it is saved at each epoch's end too."
    )


class Augmentation(Settings):
    """Random changes of each image; a value of 0 turns one off."""

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Share = Field(default=0.0, description="Largest shift, as a share of the side.")
    zoom: Share = Field(default=0.0, description="Largest change of size: 0.2 gives factors from 1/1.2 to 1.2.")
    flip_horizontal: Share = Field(default=0.0, description="Probability.")
    flip_vertical: Share = Field(default=0.0, description="Probability.")
    brightness: Share = Field(default=0.0, description="Largest shift, as a share of the range.")
    contrast: Share = Field(default=0.0, description="Largest relative change.")
    gamma: Share = Field(default=0.0, description="Largest relative change of the exponent.")
    blur: Share = Field(default=0.0, description="Probability of a blur as by a coarser scan.")
    erase: Share = Field(default=0.0, description="Probability of blanking a small square.")


class Recipe(Settings):
    """What all recipes share."""

    family: str = Field(description="Name of the family whose network this trains; see mammoscope.families.find.")
    mean: float = Field(default=0.449, description="Subtracted from pixels scaled to [0, 1].")
    std: Annotated[float, Field(gt=0)] = 0.226
    contrast: ContrastSettings = ContrastSettings(clip_limit=0)
    preprocess: PreprocessSettings = PreprocessSettings()
    augmentation: Augmentation = Augmentation()
    split: SplitSettings = SplitSettings()
    loop: LoopSettings


class OverlapSettings(Settings):
    """How a bundle joins a detector's overlapping boxes: see ``suppress_overlaps`` and ``vote_boxes``."""

    nms_iou: Annotated[float, Field(gt=0, lt=1)]
    vote_iou: Annotated[float, Field(gt=0, le=1)]


class BreastRecipe(Recipe):
    """What the recipes of all networks share that see the whole breast."""

    input_size: Annotated[int, Field(ge=128, le=2048, multiple_of=32)]

    @property
    def grid(self) -> TileGrid:
        """The tiles in which the network sees the breast: one."""
        return TileGrid(TileSettings(), self.input_size, self.input_size)


class DetectorRecipe(BreastRecipe):
    """What the recipes of all detectors share."""

    tiles: TileSettings = Field(
        default=TileSettings(), description="In which the network, whose input is one tile, sees the breast."
    )
    tile_lesion_share: Share = Field(
        default=0.5,
        description="How often an image that has tiles with and without a lesion is shown by one with a lesion.",
    )
    tile_least_inside: Share = Field(
        default=0.3, description="Share of a lesion's box that a tile must show for the lesion to be sought on it."
    )

    overlaps: OverlapSettings = Field(
        default=OverlapSettings(nms_iou=0.4, vote_iou=0.5),
        description="If there is no rescorer. Default: of the values tried on validation patients of "
        "CBIS-DDSM the highest AP that loses no AP50.",
    )
    rescored_overlaps: OverlapSettings = Field(
        default=OverlapSettings(nms_iou=0.15, vote_iou=0.5),
        description="If a rescorer follows, which scores two boxes on one mass alike. Default: the most masses at 1 "
        "false positive an image.",
    )

    @property
    def grid(self) -> TileGrid:
        """The tiles in which the network sees the breast."""
        return TileGrid(self.tiles, self.input_size, self.input_size)


class RescorerRecipe(Recipe):
    """What the recipes of all rescorers share: networks that rescore the regions that a detector proposes."""

    input_size: Annotated[int, Field(ge=32, le=1024)] = 128
    mass_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Share of the square's side that the region takes: the rest is tissue around it."
    )
    regions_per_film: Count = Field(
        default=8, description="Shown of each image at a time: half of them lesions, misplaced, half proposed regions."
    )
    displacement: Share = Field(default=0.3, description="How far lesions' boxes are misplaced, as a share of a side.")
    background_iou: Share = Field(default=0.2, description="Up to this IoU a region is not a mass.")
    foreground_iou: Share = Field(default=0.5, description="From this IoU on it is one; between, in part.")

    @model_validator(mode="after")
    def _background_lies_below(self) -> Self:
        if self.background_iou >= self.foreground_iou:
            raise ValueError(f"background_iou must lie below foreground_iou, {self.foreground_iou}")
        return self


class SegmenterRecipe(Recipe):
    """What the recipes of all segmenters share."""

    input_size: Annotated[int, Field(ge=64, le=1024, multiple_of=16)] = 256
    loss: MaskLoss = Field(
        default="dice",
        description="dice: cross entropy of the pixels and 1 - Dice; dice_iou: 0.4 (1 - Dice) + 0.6 (1 - IoU); "
        "iou_sobel: 1 - IoU of the masks and 1 - IoU of their edges.",
    )
    sobel_weight: Share = Field(
        default=0.3, description="Weight of the edges in iou_sobel; that of the masks is the rest to 1."
    )
    full_share: Share = Field(
        default=0.0, description="How often a lesion is shown as cut from its full image, with more tissue around it."
    )
    widest: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.0, description="Largest side of such a cut, in sides of the usual one."
    )
    widening_power: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Such a cut is widest ** (u ** widening_power) wide, u even from 0 to 1."
    )
    full_shift: Share | None = Field(
        default=None, description="augmentation.shift of such cuts, for misplaced boxes; None takes that."
    )
    full_zoom: Annotated[float, Field(ge=0)] | None = Field(default=None, description="The same of augmentation.zoom.")
    synthetic_share: Share = Field(
        default=0.0, description="How often a mass that a generator painted is shown in place of a lesion."
    )
    synthetic_pool: Count = Field(default=1024, description="Masses that it paints, once, before the first step.")


class ClassifierRecipe(Recipe):
    """What the recipes of all classifiers share."""

    input_size: Annotated[int, Field(ge=32, le=1024)] = 224
    label_smoothing: Share = 0.1
    crop_share: Share = Field(default=0.5, description="How often a lesion with a published crop is shown by it.")


class JointRecipe(BreastRecipe):
    """What the recipes of all joint networks share: boxes, outlines and malignancy at once."""

    nms_iou: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.3, description="Of suppress_overlaps in a bundle, where the scores stand alone."
    )
    rescored_nms_iou: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.15, description="The same where a rescorer follows, which rates two boxes on one mass alike."
    )


class GeneratorRecipe(Recipe):
    """What the recipes of all generators share: networks that paint a mass of a given outline into tissue."""

    input_size: Annotated[int, Field(ge=32, le=512, multiple_of=16)] = 128
    mass_fraction: Annotated[float, Field(gt=0, le=0.9)] = Field(
        default=0.6, description="Share of the square's side that the mass spans: the rest is tissue around it."
    )
    rim: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.08, description="Width of the tissue around the outline that is painted too, as a share of the side."
    )

    @model_validator(mode="after")
    def _changes_no_contrast(self) -> Self:
        if self.contrast.clip_limit:
            raise ValueError("contrast.clip_limit must be 0: segmenters change the contrast of what a generator paints")
        return self
