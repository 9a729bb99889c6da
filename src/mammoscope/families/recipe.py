"""Training recipes: typed settings, read from TOML and saved beside what they made."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mammoscope.errors import RecipeError
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSettings(_Settings):
    """Which patients validate."""

    fold: Annotated[int, Field(ge=0)] = 0
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0


class PhaseSettings(_Settings):
    """How long a training is and how fast; a phase of the classifier's takes all else from ``loop``."""

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
    """How the weights are fitted: AdamW, warm-up and cosine decay or steps, averaged weights."""

    batch_size: Count
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


class Augmentation(_Settings):
    """Random changes of each picture; a value of 0 turns one off."""

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


class Recipe(_Settings):
    """What all recipes share."""

    backbone: str | None = None
    mean: float = Field(default=0.449, description="Subtracted from pixels scaled to [0, 1].")
    std: Annotated[float, Field(gt=0)] = 0.226
    contrast: ContrastSettings = ContrastSettings(clip_limit=0)
    preprocess: PreprocessSettings = PreprocessSettings()
    augmentation: Augmentation = Augmentation()
    split: SplitSettings = SplitSettings()
    loop: LoopSettings


class DetectorRecipe(Recipe):
    """A RetinaNet."""

    backbone: str
    input_size: Annotated[int, Field(ge=128, le=2048, multiple_of=32)]
    pyramid_channels: Annotated[int, Field(ge=8, le=512)] = 256
    anchor_ratios: Count = Field(default=3, description="How many; their values are fitted to the training boxes.")
    foreground_iou: Share = 0.5
    background_iou: Share = 0.4
    box_loss: Literal["l1", "giou"] = "l1"


class ReducerRecipe(Recipe):
    """A network that looks again at the regions that a detector proposes."""

    backbone: str
    input_size: Annotated[int, Field(ge=32, le=1024)] = 128
    mass_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Share of the square's side that the region takes: the rest is tissue around it."
    )
    regions_per_film: Count = Field(
        default=8, description="Shown of each film at a time: half of them lesions, misplaced, half proposed regions."
    )
    displacement: Share = Field(default=0.3, description="How far lesions' boxes are misplaced, as a share of a side.")
    background_iou: Share = Field(default=0.2, description="Up to here a region is no mass.")
    foreground_iou: Share = Field(default=0.5, description="From here on it is one; between, in part.")
    dropout: Share = 0.0

    @model_validator(mode="after")
    def _background_lies_below(self) -> Self:
        if self.background_iou >= self.foreground_iou:
            raise ValueError(f"background_iou must lie below foreground_iou, {self.foreground_iou}")
        return self


class SegmenterRecipe(Recipe):
    """A residual U-Net with a parallel transformer branch; with a ``backbone``, that is its way down."""

    input_size: Annotated[int, Field(ge=64, le=1024, multiple_of=16)] = 256
    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(32, 64, 128, 256, 512),
        description="Channels of the levels, finest first; with a backbone, those of the way up: one less than it has.",
    )
    transformer: bool = True
    patch_size: Count = 16
    embedding: Count = 256
    layers: Count = 8
    heads: Count = 4
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
        default=None, description="augmentation.shift of such cuts, as a detector's box errs; None takes that."
    )
    full_zoom: Annotated[float, Field(ge=0)] | None = Field(default=None, description="The same of augmentation.zoom.")


class ClassifierRecipe(Recipe):
    """Three branches, trained one by one, then joined, then tuned together; ``loop`` trains each branch."""

    backbone: str
    input_size: Annotated[int, Field(ge=32, le=1024)] = 224
    layers: tuple[Count, Count, Count] = (512, 256, 128)
    dropout: Share = 0.3
    label_smoothing: Share = 0.1
    crop_share: Share = Field(default=0.5, description="How often a lesion with a published crop is shown by it.")
    auxiliary_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Weight of the loss of the auxiliary targets (shape, margins, BI-RADS, subtlety, density), which "
        "the branches learn beside malignancy; 0 leaves them out.",
    )
    joined: PhaseSettings
    tuned: PhaseSettings


_RECIPES: dict[str, type[Recipe]] = {
    "detector": DetectorRecipe,
    "reducer": ReducerRecipe,
    "segmenter": SegmenterRecipe,
    "classifier": ClassifierRecipe,
}


_ROOMS = {"detector": "detect", "reducer": "rescore", "segmenter": "segment", "classifier": "classify"}


def load_recipe(task: str, recipe: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    task
        ``"detector"``, ``"reducer"``, ``"segmenter"`` or ``"classifier"``.
    recipe
        The path of a TOML file, or the name of one that comes with mammoscope (``"default"`` is the one behind the
        default bundle).

    Raises
    ------
    RecipeError
        There is no such file, or a setting is missing, unknown or impossible; names the setting and the value.
    """
    path = Path(recipe)
    if not path.suffix:
        path = Path(str(_folder(task) / f"{recipe}.toml"))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(recipe_names(task))
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); recipes that come along: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not TOML ({error})") from None
    return recipe_of(task, table, str(path))


def recipe_of(task: str, table: Mapping[str, Any], place: str = "recipe") -> Recipe:
    """A recipe from its settings, as ``run.json`` keeps them.

    Raises
    ------
    RecipeError
        A setting is missing, unknown or impossible; names the setting and the value.
    """
    try:
        return _RECIPES[task].model_validate(table)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            + ("" if problem["type"] in ("missing", "extra_forbidden") else f" (is {problem['input']!r})")
            for problem in error.errors()
        )
        raise RecipeError(f"{place}: {problems}") from None


def recipe_names(task: str) -> list[str]:
    """The recipes that come with mammoscope for a task."""
    return sorted(item.name.removesuffix(".toml") for item in _folder(task).iterdir() if item.name.endswith(".toml"))


def _folder(task: str) -> Traversable:
    return files("mammoscope.families") / _ROOMS[task] / "recipes"
