"""Which images of a dataset are read for its lesions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn

from mammoscope.bundling.validation import cut_cases
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import ImageRow, load_dataset, write_layout
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.families.find import find_family, load_recipe
from mammoscope.families.recipe import Augmentation
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings
from mammoscope.training.lesion_rois import load_views
from mammoscope.training.run import role_of
from synthetic_dataset import write_dataset


def test_images_without_a_lesion_are_not_read(tmp_path: Path) -> None:
    ill = load_dataset(write_dataset(tmp_path / "set", patients=2))
    (tmp_path / "set/images/normal.png").write_bytes(b"not an image")
    write_layout(replace(ill, listed=(*ill.image_rows(), ImageRow("normal.png", "S_009")), stated=DatasetInfo()))
    dataset = load_dataset(tmp_path / "set")
    assert len(dataset.images) == 3
    views = load_views(dataset, PreprocessSettings(), "reading")
    assert [one.lesion for one in views] == list(dataset.lesions) and all(one.full for one in views)
    assert [case.lesion for case in cut_cases(dataset, PreprocessSettings())] == list(dataset.lesions)


@pytest.mark.parametrize("role", ["segment", "classify"])
def test_contrast_is_equalised_in_training_as_it_is_in_a_bundle(tmp_path: Path, role: RoleName) -> None:
    dataset = load_dataset(write_dataset(tmp_path / "set", patients=2))
    default = load_recipe(role, "default").model_copy(update={"input_size": 64, "augmentation": Augmentation()})
    equalising = ContrastSettings(clip_limit=40, tiles=1)
    tasks = {}
    for contrast in (ContrastSettings(clip_limit=0), equalising):
        recipe = default.model_copy(update={"contrast": contrast})
        trained = role_of(NOUNS[role])(find_family(role, recipe.family), recipe, None)
        samples = trained.load(dataset, "training")
        tasks[contrast] = trained.task(nn.Identity(), samples, samples)
    plain, equalised = tasks.values()
    for index in range(len(plain)):
        before, after = (task.sample(index, np.random.default_rng(0))[0] for task in (plain, equalised))
        assert np.array_equal(after, equalising.apply(before))
        assert not np.array_equal(after, before)
    before, after = (shown(task) for task in (plain, equalised))
    assert np.array_equal(after, np.stack([equalising.apply(picture) for picture in before]))


def shown(task: Any) -> NDArray[np.uint8]:
    """The images that a task validates on, ``(N, S, S)``."""
    groups = task.validation.values() if isinstance(task.validation, dict) else [task.validation]
    return np.stack([sample[0] for group in groups for sample in group])
