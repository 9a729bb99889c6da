"""Which images of a dataset are read for its lesions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope.bundling.validation import cut_cases
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import ImageRow, load_dataset, write_layout
from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.training.lesion_rois import load_views
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
