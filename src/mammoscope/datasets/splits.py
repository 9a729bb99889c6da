"""Splits by patient, the same on every machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mammoscope.datasets.files import link_or_copy
from mammoscope.datasets.folds import FOLDS, deal
from mammoscope.datasets.importers.cbis_ddsm.published import published_folds
from mammoscope.datasets.info import read_folds
from mammoscope.datasets.layout import Dataset, write_layout
from mammoscope.errors import DatasetError
from mammoscope.files import write_json

SPLIT_FOLDERS = ("train", "validation")
SPLIT_FILE = "split.json"


def strata_of(dataset: Dataset) -> dict[str, int]:
    """Of each patient: 1 with any malignant lesion, 0 with other lesions only, -1 without any."""
    strata = dict.fromkeys(dataset.patients, -1)
    for lesion in dataset.lesions:
        strata[lesion.patient_id] = max(strata[lesion.patient_id], int(lesion.malignant is True))
    return strata


def patient_folds(dataset: Dataset, *, folds: int = FOLDS, seed: int = 0) -> dict[str, int]:
    """Fold number, from 0, of each patient id.

    With seed 0 and as many folds as a dataset has published ones, its patients keep those, so that a copy of it that
    lacks some lesions or patients still validates on no patient that a published model was trained on. CBIS-DDSM's mass
    training split has five. Any other dataset is divided anew, and so is one that lacks a whole fold: it is
    already a part of a split.
    """
    published = _published_folds(dataset)
    if seed == 0 and folds == len(set(published.values())) and published.keys() >= set(dataset.patients):
        fixed = {patient: published[patient] for patient in dataset.patients}
        if len(set(fixed.values())) == folds:
            return fixed
    return deal(strata_of(dataset), folds=folds, seed=seed)


def _published_folds(dataset: Dataset) -> Mapping[str, int]:
    """By patient id: the table that ``dataset.json`` names; of edition 1, which names none, those of CBIS-DDSM."""
    if dataset.edition == 1:
        return {patient: fold for patient, (_, fold) in published_folds().items()}
    return read_folds(dataset.folder / dataset.info.folds) if dataset.info.folds else {}


def split_patients(dataset: Dataset, *, fold: int = 0, folds: int = FOLDS, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Training and validation part: the patients of ``fold`` validate, all others train."""
    if not 0 <= fold < folds:
        raise ValueError(f"fold is {fold}, it must be in the range (0, {folds - 1})")
    assignment = patient_folds(dataset, folds=folds, seed=seed)
    validation = {patient for patient, number in assignment.items() if number == fold}
    return dataset.of_patients(set(dataset.patients) - validation), dataset.of_patients(validation)


def write_split(dataset: Dataset, out: Path, *, fold: int = 0, folds: int = FOLDS, seed: int = 0) -> tuple[Path, Path]:
    """Write the two parts of ``split_patients`` as folders in the dataset layout.

    ``OUT/train`` and ``OUT/validation`` share the files of the dataset by hard links where the file system can, else
    they hold copies; ``OUT/split.json`` records how they were made. The folder appears only when it is complete.

    Returns
    -------
    tuple of Path
        The training and the validation folder.

    Raises
    ------
    DatasetError
        ``out`` is not empty or cannot be written, or a part would be empty.
    """
    parts = dict(zip(SPLIT_FOLDERS, split_patients(dataset, fold=fold, folds=folds, seed=seed), strict=True))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out}: already exists and is not empty; a split is written to a new folder")
    for name, part in parts.items():
        if not part.images:
            raise DatasetError(
                f"{dataset.folder}: fold {fold} of {folds} leaves no patient for {name}; "
                f"the dataset has {len(dataset.patients)} patients"
            )
    unfinished = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, part in parts.items():
            _write_part(part, unfinished / name)
        description = {
            "source": dataset.name,
            "source_sha256": dataset.sha256,
            "fold": fold,
            "folds": folds,
            "seed": seed,
            "patients": {name: part.patients for name, part in parts.items()},
        }
        write_json(unfinished / SPLIT_FILE, description)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written ({error.strerror})") from None
    train, validation = (out / name for name in SPLIT_FOLDERS)
    return train, validation


def _write_part(part: Dataset, folder: Path) -> None:
    files = {"images": [part.image_path(image) for image in part.images]}
    files["crops"] = [part.crop_path(lesion) for lesion in part.lesions if lesion.crop]
    files["masks"] = [part.mask_path(lesion) for lesion in part.lesions if lesion.mask]
    for name, paths in files.items():
        (folder / name).mkdir(parents=True)
        for path in dict.fromkeys(paths):
            link_or_copy(path, folder / name / path.name)
    if part.info.folds and part.edition == 2:
        link_or_copy(part.folder / part.info.folds, folder / part.info.folds)
    write_layout(replace(part, folder=folder))
