"""The datasets and splits that a study makes in its folder, so that nothing in the dataset's own is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from mammoscope.datasets.copies import write_copies
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import SPLIT_FILE, write_split
from mammoscope.errors import DatasetError
from mammoscope.studies.plan import Item, Place
from mammoscope.studies.study import Split, Study, StudyError

BY_PATIENT: Split = "by-patient"
_DATASETS = "datasets"
_SPLITS = "splits"


def data_folder(place: Place, how: Split) -> Path:
    """The dataset that entries of a way to split are trained on."""
    return place.dataset if how == BY_PATIENT else place.out / _DATASETS / how


def split_folder(place: Place, how: Split, fold: int) -> Path:
    """The folder with the two parts of a fold."""
    return place.out / _SPLITS / how / f"fold-{fold}"


def datasets_of(study: Study, place: Place) -> dict[Split, Dataset]:
    """The dataset of each way to split that an entry names; those of copied lesions are made where they are missing.

    Raises
    ------
    DatasetError
        The study's dataset cannot be used.
    StudyError
        There is another one already where the copies would be written; names the folder.
    """
    own = load_dataset(place.dataset)
    found: dict[Split, Dataset] = {BY_PATIENT: own}
    for how in {entry.split for entry in study.entries} - {BY_PATIENT}:
        folder = data_folder(place, how)
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_copies(own, folder, copies=study.copies, are_patients=how == "after-augmentation")
        found[how] = load_dataset(folder)
        if own.sha256 not in found[how].info.made or f"{study.copies} times" not in found[how].info.made:
            raise StudyError(f"{folder}: holds copies of another dataset, or another number of them; remove it")
    return found


def make_splits(study: Study, place: Place, datasets: Mapping[Split, Dataset], items: Iterable[Item]) -> None:
    """Write the splits that items need, or check those that are there.

    Raises
    ------
    DatasetError
        A split cannot be written, or the folder holds another one; names it.
    """
    for how, fold in sorted({(item.entry.split, item.fold) for item in items}):
        folder, dataset = split_folder(place, how, fold), datasets[how]
        if (folder / SPLIT_FILE).is_file():
            made = json.loads((folder / SPLIT_FILE).read_text(encoding="utf-8"))
            wanted = {"source_sha256": dataset.sha256, "fold": fold, "folds": study.of_folds, "seed": 0}
            if any(made.get(key) != value for key, value in wanted.items()):
                raise DatasetError(f"{folder}: holds a split of another dataset, or another split; remove it")
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        write_split(dataset, folder, fold=fold, folds=study.of_folds)
