"""Splits by patient, the same on every machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from mammoscope.datasets.lesions import Dataset

FOLDS = 5


def patient_folds(dataset: Dataset, *, folds: int = FOLDS, seed: int = 0) -> dict[str, int]:
    """Deal patients into folds, evenly within each stratum (any malignant lesion or none).

    The order of patients comes from a hash of the seed and the id, so a patient's place depends on no library's random
    numbers.

    Returns
    -------
    dict
        Fold number, from 0, of each patient id.
    """
    malignant: defaultdict[str, bool] = defaultdict(bool)
    for lesion in dataset.lesions:
        malignant[lesion.patient_id] |= lesion.malignant
    order = sorted(malignant, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).digest())
    strata = [patient for patient in order if malignant[patient]] + [
        patient for patient in order if not malignant[patient]
    ]
    return {patient: position % folds for position, patient in enumerate(strata)}


def split_patients(dataset: Dataset, *, fold: int = 0, folds: int = FOLDS, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Training and validation part: the patients of ``fold`` validate, all others train."""
    if not 0 <= fold < folds:
        raise ValueError(f"fold is {fold}, it must be in the range (0, {folds - 1})")
    assignment = patient_folds(dataset, folds=folds, seed=seed)
    validation = {patient for patient, number in assignment.items() if number == fold}
    return dataset.of_patients(set(dataset.patients) - validation), dataset.of_patients(validation)
