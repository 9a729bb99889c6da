"""What is published about CBIS-DDSM: the folds of the default bundle, credits, others' figures and usual groupings."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def published_folds() -> Mapping[str, tuple[bool, int]]:
    """The five folds of CBIS-DDSM's mass training split, fixed by patient id in ``folds.csv``.

    They are what ``deal`` made of its 691 patients with seed 0; the default bundle was trained and validated by them.

    Returns
    -------
    dict
        Whether the patient has a malignant mass, and the fold, of each patient id.
    """
    text = (files("mammoscope.datasets.importers.cbis_ddsm") / "folds.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["patient_id"]: (row["malignant"] == "1", int(row["fold"])) for row in rows}
