"""Deal patients into folds, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

FOLDS = 5


def deal(strata: Mapping[str, int], *, folds: int = FOLDS, seed: int = 0) -> dict[str, int]:
    """Divide patients into folds, evenly within each stratum.

    The order of patients comes from a hash of the seed and the id, so a patient's fold depends on no library's random
    numbers.

    Parameters
    ----------
    strata
        Of each patient id, such as ``strata_of`` gives; the highest is dealt first.

    Returns
    -------
    dict
        Fold number, from 0, of each patient id.
    """
    order = sorted(strata, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).digest())
    dealt = sorted(order, key=lambda patient: -strata[patient])
    return {patient: position % folds for position, patient in enumerate(dealt)}
