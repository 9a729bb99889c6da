"""What is published about CBIS-DDSM: credits, others' figures, usual groupings, and the folds of the default bundle."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from mammoscope.datasets.info import INFO_FILE, DatasetInfo

# Height over width of a film if the table does not state it: the mean of the 795 known ones.
TYPICAL_FILM_ASPECT = 1.74
_PATIENT = re.compile(r"P_\d{5}")


@cache
def published_info() -> DatasetInfo:
    """What the importer writes into ``dataset.json``."""
    return DatasetInfo.model_validate_json(_file(INFO_FILE))


def edition_1_info(patients: Iterable[str]) -> DatasetInfo:
    """What is known of a folder of edition 1, which states nothing about itself.

    Edition 1 was made for CBIS-DDSM: reports group lesions as is usual there. Name, credit, published figures, and that
    square files are stretched films, apply only if all patients have that collection's ids.
    """
    info = published_info().model_copy(update={"assumed_film_aspect": TYPICAL_FILM_ASPECT})
    if all(_PATIENT.fullmatch(patient) for patient in patients):
        return info
    nothing = DatasetInfo()
    kept = ("size_edges", "shapes", "ids_across_views")
    return nothing.model_copy(update={name: getattr(info, name) for name in kept})


@cache
def published_folds() -> Mapping[str, tuple[bool, int]]:
    """The five folds of CBIS-DDSM's mass training split, fixed by patient id in ``folds.csv``.

    They are what ``deal`` made of its 691 patients with seed 0; the default bundle was trained and validated by them.

    Returns
    -------
    dict
        Whether the patient has a malignant mass, and the fold, of each patient id.
    """
    rows = csv.DictReader(_file("folds.csv").splitlines())
    return {row["patient_id"]: (row["malignant"] == "1", int(row["fold"])) for row in rows}


def _file(name: str) -> str:
    return (files("mammoscope.datasets.importers.cbis_ddsm") / name).read_text(encoding="utf-8")
