"""What a bundle is built from: trainings with validated weights, or stages of an earlier bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from mammoscope.bundle import MANIFEST, StageManifest, load_bundle
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import RecipeError
from mammoscope.families.anchors import Anchors
from mammoscope.families.detect.retinanet import RetinaNetExport
from mammoscope.families.recipe import (
    ClassifierRecipe,
    DetectorRecipe,
    Recipe,
    ReducerRecipe,
    SegmenterRecipe,
    recipe_of,
)
from mammoscope.families.rescore.region_rescorer import FlippedMean
from mammoscope.training.checkpoint import load_weights
from mammoscope.training.loop import BEST
from mammoscope.training.roles.classify import make_classifier
from mammoscope.training.roles.detect import make_detector
from mammoscope.training.roles.rescore import make_reducer
from mammoscope.training.roles.segment import make_segmenter
from mammoscope.training.run import read_run


@dataclass(frozen=True)
class Run:
    """A training: its folder, what ``run.json`` says, its recipe, and its model with the best weights."""

    folder: Path
    facts: dict[str, Any]
    recipe: Recipe
    model: nn.Module
    header: dict[str, Any]


@dataclass(frozen=True)
class Bundled:
    """A stage of an earlier bundle, to be taken as it is: the bundle's folder, and what its manifest says."""

    folder: Path
    facts: dict[str, Any]
    recipe: Recipe
    manifest: StageManifest


def open_bundled(folder: Path, task: str) -> Bundled | None:
    """A stage of the bundle in a folder; None where it holds none.

    Raises
    ------
    BundleError
        It is a bundle, and damaged.
    RecipeError
        It is a bundle without such a stage.
    """
    if not (folder / MANIFEST).is_file():
        return None
    manifest = cast("StageManifest | None", getattr(load_bundle(folder).manifest, task))
    if manifest is None:
        raise RecipeError(f"{folder}: this bundle has no {task}")
    recipe = recipe_of(task, manifest.provenance.recipe)
    facts = {"split": recipe.split.model_dump(), "dataset": {"sha256": manifest.provenance.data_sha256}}
    return Bundled(folder, facts, recipe, manifest)


def open_detector(folder: Path) -> Run:
    """A finished training of a detector; its model is the one that is exported, boxes decoded."""
    facts = _finished(folder, "detector", folder / BEST)
    recipe = cast(DetectorRecipe, recipe_of("detector", facts["recipe"]))
    anchors = facts["anchors"]
    model = make_detector(recipe, None, Anchors(anchors["base"], tuple(anchors["ratios"]), anchors["fit"]))
    header = load_weights(model, folder / BEST)
    return Run(folder, facts, recipe, RetinaNetExport(model.eval(), recipe.input_size), header)


def open_reducer(folder: Path) -> Run:
    """A finished training of a reducer; its model is the one that is exported, which sees each region in four flips."""
    facts = _finished(folder, "reducer", folder / BEST)
    recipe = cast(ReducerRecipe, recipe_of("reducer", facts["recipe"]))
    model = make_reducer(recipe)
    header = load_weights(model, folder / BEST)
    return Run(folder, facts, recipe, FlippedMean(model.eval()), header)


def open_segmenter(folder: Path) -> Run:
    """A finished training of a segmenter."""
    facts = _finished(folder, "segmenter", folder / BEST)
    recipe = cast(SegmenterRecipe, recipe_of("segmenter", facts["recipe"]))
    model = make_segmenter(recipe)
    return Run(folder, facts, recipe, model, load_weights(model, folder / BEST))


def open_classifier(folder: Path) -> Run:
    """A finished training of a classifier."""
    facts = _finished(folder, "classifier", folder / "tuned" / BEST)
    recipe = cast(ClassifierRecipe, recipe_of("classifier", facts["recipe"]))
    model = make_classifier(recipe)
    return Run(folder, facts, recipe, model, load_weights(model, folder / "tuned" / BEST))


def _finished(folder: Path, task: str, weights: Path) -> dict[str, Any]:
    facts = read_run(folder)
    if facts.get("task") != task:
        raise RecipeError(f"{folder}: holds a training of {facts.get('task')!r}, expected {task!r}")
    if not weights.is_file():
        raise RecipeError(f"{folder}: the training has no validated weights yet, {weights.name} is not there")
    return facts


def common_split(runs: Sequence[Run | Bundled], dataset: Dataset) -> dict[str, int]:
    """``fold``, ``folds`` and ``seed`` by which all runs divided the patients of the dataset.

    Raises
    ------
    RecipeError
        They did not divide alike, were trained on another dataset, or find the breast by other settings.
    """
    splits = [{key: run.facts["split"][key] for key in ("fold", "folds", "seed")} for run in runs]
    for run, split in zip(runs, splits, strict=True):
        if split != splits[0]:
            raise RecipeError(
                f"{run.folder}: its patients were divided by {split}, those of the detector by {splits[0]}"
            )
        if run.facts["dataset"]["sha256"] != dataset.sha256:
            raise RecipeError(f"{run.folder}: was trained on another dataset than {dataset.folder}")
        if run.recipe.preprocess != runs[0].recipe.preprocess:
            raise RecipeError(f"{run.folder}: its recipe finds the breast by other settings than the detector's")
    return splits[0]
