"""Copies of lesions: a split after augmentation leaks, one before it does not, and the check tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_datasets import breast, lesion, write

from mammoscope.datasets.copies import write_copies
from mammoscope.datasets.images import read_crop, read_image
from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.leakage import check_leakage
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import DatasetError

COPIES = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten patients, a lesion each with a crop and a mask; every second one is malignant."""
    rows = [
        lesion(
            f"P_{number}",
            pathology=("MALIGNANT", "BENIGN")[number % 2],
            crop=f"{number}.png",
            mask=f"{number}.png",
        )
        for number in range(10)
    ]
    folder = tmp_path_factory.mktemp("data") / "set"
    write(folder, rows)
    for number in range(10):
        (folder / "crops" / f"{number}.png").unlink()
    return write(folder, rows, {row.image: breast(number) for number, row in enumerate(rows)})


@pytest.mark.parametrize("are_patients", [False, True])
def test_copies_are_a_dataset(dataset: Dataset, tmp_path: Path, are_patients: bool) -> None:
    write_copies(dataset, tmp_path / "copies", copies=COPIES, are_patients=are_patients)
    copies = load_dataset(tmp_path / "copies")
    assert list(check_integrity(copies)) == []
    assert len(copies.lesions) == len(copies.images) == 10 * COPIES
    assert len(copies.patients) == (10 * COPIES if are_patients else 10)
    assert sum(row.malignant is True for row in copies.lesions) == 5 * COPIES
    assert dataset.sha256 in copies.info.made
    first = [row for row in copies.lesions if row.image.startswith("lesion-00000")]
    pictures = {read_image(copies.image_path(row.image)).tobytes() for row in first}
    assert len(pictures) > 1
    original = read_crop(dataset.crop_path(dataset.lesions[0]))
    for row in first:
        crop, mask = read_crop(copies.crop_path(row)), read_crop(copies.mask_path(row))
        turned = [np.rot90(side, turns) for side in (original, original[:, ::-1]) for turns in range(4)]
        correlations = [np.corrcoef(one.ravel(), crop.ravel())[0, 1] for one in turned]
        assert max(correlations) > 0.98, "turned, mirrored, and brighter or darker, and nothing else"
        left, top = (mask > 127).any(axis=0).argmax(), (mask > 127).any(axis=1).argmax()
        assert (row.x, row.y) == (left, top)
    with pytest.raises(DatasetError, match="already exists"):
        write_copies(dataset, tmp_path / "copies", copies=COPIES, are_patients=are_patients)


def test_a_split_after_augmentation_is_caught(dataset: Dataset, tmp_path: Path) -> None:
    found = {}
    for are_patients in (False, True):
        folder = tmp_path / str(are_patients)
        write_copies(dataset, folder, copies=COPIES, are_patients=are_patients)
        training, validation = split_patients(load_dataset(folder))
        assert not set(training.patients) & set(validation.patients)
        found[are_patients] = check_leakage([training, validation])
    assert found[False] == ()
    leaks = found[True]
    assert {leak.kind for leak in leaks} <= {"pixels", "near-duplicate"}
    # Every validation image has a copy of its lesion on the other side, and each is named.
    _, validation = split_patients(load_dataset(tmp_path / "True"))
    assert {leak.second.split(": ")[1] for leak in leaks} == set(validation.images)
    lesions = [[side.split(": ")[1].split("-copy")[0] for side in (leak.first, leak.second)] for leak in leaks]
    assert all(first == second for first, second in lesions)


def test_without_crops_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no lesion of known pathology has a crop"):
        write_copies(write(tmp_path / "set", [lesion("P_1")]), tmp_path / "out", copies=2, are_patients=True)
