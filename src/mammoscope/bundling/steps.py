"""The steps of a new bundle: their files and their part of the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from mammoscope.bundling.folder import copied_files, copy_file
from mammoscope.bundling.onnx_export import export_onnx, largest_difference
from mammoscope.bundling.roles.maker import StepMaker
from mammoscope.bundling.sources import Bundled, ExtraStep, Run
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import RecipeError
from mammoscope.families.backbone import CREDITS, backbones_of
from mammoscope.families.find import recipe_of
from mammoscope.files import file_sha256
from mammoscope.stages.manifests import Provenance, StepFile, StepManifest
from mammoscope.stages.onnx import load_session
from mammoscope.stages.step import NETWORK, implementation_named

LARGEST_DIFFERENCE = 1e-3
LICENCE = "Apache-2.0"


def trained_step(
    run: Run,
    maker: StepMaker[Any],
    folder: Path,
    *,
    dataset: Dataset,
    training: Dataset,
    validation: Dataset,
    rescored: bool,
) -> StepManifest:
    """Export a trained network into the bundle's folder and make its manifest; nothing is fitted yet.

    Raises
    ------
    RecipeError
        The ONNX file differs from its network by more than ``LARGEST_DIFFERENCE``.
    """
    exported, path = run.exported, folder / maker.file
    export_onnx(exported, path)
    difference = _difference(run, maker, path, validation)
    if difference > LARGEST_DIFFERENCE:
        raise RecipeError(
            f"{path.name}: differs from its network by {difference:.1e}, more than {LARGEST_DIFFERENCE:g}"
        )
    return StepManifest(
        name=maker.role,
        role=maker.role,
        implementation=exported.implementation or maker.implementation,
        settings={**maker.settings(run.recipe, rescored=rescored), **exported.settings},
        files={
            NETWORK: StepFile(file=path.name, sha256=file_sha256(path)),
            **maker.more_files(training, folder),
        },
        provenance=_provenance(run, dataset, training, validation, difference).model_copy(
            update={"metrics": maker.metrics(run.header)}
        ),
    )


def bundled_step(source: Bundled, maker: StepMaker[Any] | None, folder: Path, *, rescored: bool) -> StepManifest:
    """Copy a step of an earlier bundle; settings that depend on the chain are set as for a new one.

    ``maker`` is that of its role; None if no network of that role is trained by mammoscope.
    """
    step = source.manifest
    copied_files(step, source.folder, folder)
    if maker is None or step.provenance is None or step.implementation != maker.implementation:
        return step
    recipe = recipe_of(maker.role, step.provenance.recipe, f"{source.folder}: {step.name}: recipe")
    return step.model_copy(update={"settings": {**step.settings, **maker.kept(recipe, rescored=rescored)}})


def extra_step(extra: ExtraStep) -> StepManifest:
    """A step of another package, still without its files: see ``with_files``.

    Raises
    ------
    RecipeError
        There is no such implementation, or the settings do not fit it.
    """
    implementation = implementation_named(extra.implementation)
    if implementation is None:
        raise RecipeError(f"step {extra.name!r}: no implementation is named {extra.implementation!r}")
    try:
        settings = implementation.Settings.model_validate(dict(extra.settings)).model_dump(mode="json")
        return StepManifest(name=extra.name, role=extra.role, implementation=extra.implementation, settings=settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RecipeError(f"step {extra.name!r}: {place}: {first['msg']}") from None


def with_files(step: StepManifest, sources: Mapping[str, Path], folder: Path) -> StepManifest:
    """The step with files by their labels, copied into the bundle's folder under names of its own."""
    files = {}
    for label, source in sources.items():
        target = folder / re.sub(r"[^A-Za-z0-9_.-]", "_", f"{step.name}-{source.name}")
        copy_file(source, target)
        files[label] = StepFile(file=target.name, sha256=file_sha256(target))
    return step.model_copy(update={"files": files})


def _difference(run: Run, maker: StepMaker[Any], path: Path, validation: Dataset) -> float:
    """Largest difference between the network's outputs and its file's, on real images."""
    session, worst = load_session(path), 0.0
    for inputs in maker.examples(run.recipe, validation):
        theirs = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        ours = _outputs(run.exported.network, inputs)
        comparable = [maker.comparable(outputs, run.recipe) for outputs in (theirs, ours)]
        worst = max(worst, largest_difference(*comparable))
    return worst


def _outputs(network: nn.Module, inputs: Mapping[str, Tensor]) -> list[NDArray[np.float32]]:
    with torch.inference_mode():
        result = network.eval()(*inputs.values())
    return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]


def _provenance(run: Run, dataset: Dataset, training: Dataset, validation: Dataset, difference: float) -> Provenance:
    started = dict.fromkeys(backbones_of(run.recipe)) if run.facts["init"] else {}
    split = run.split
    return Provenance(
        family=run.recipe.family,
        recipe=run.facts["recipe"],
        data=run.facts["dataset"]["name"],
        data_sha256=run.data_sha256,
        split=f"by patient, fold {split.fold} of {split.folds} validates, seed {split.seed}",
        training_patients=len(training.patients),
        validation_patients=len(validation.patients),
        epochs=run.header["epoch"],
        code_version=run.facts["versions"]["mammoscope"],
        licence=LICENCE,
        credits=tuple(line for line in (dataset.credit, *map(CREDITS.get, started)) if line),
        onnx_difference=float(f"{difference:.2g}"),
    )
