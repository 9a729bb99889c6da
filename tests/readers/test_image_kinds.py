"""What is no plain mammogram is named, and refused where it shows no breast to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import TOMO_2D, coded, items, mammogram, save, view
from pydicom.uid import BreastProjectionXRayImageStorageForPresentation

from mammoscope.errors import InputError
from mammoscope.readers import read_mammogram


def image_type(*values: str) -> dict[str, Any]:
    return {"ImageType": ["ORIGINAL", "PRIMARY", *values]}


HIGH = "is the high energy image of a contrast mammogram"
PROJECTION = "is a projection of tomosynthesis"
SPECIMEN = "is the image of a specimen, not of a breast"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (image_type("POST_CONTRAST", "", "HIGH_ENERGY"), HIGH),
        (image_type("", "", "HIGH_ENERGY"), HIGH),
        (image_type("HIGH ENERGY"), HIGH),
        (image_type("HIGHENERGY_RAW"), HIGH),
        (image_type("TOMO_PROJ"), PROJECTION),
        (image_type("TOMO_PROJ", "RIGHT"), PROJECTION),
        (image_type("TOMO", "PROJECTION"), PROJECTION),
        (image_type("TOMOSYNTHESIS_PROJECTION"), PROJECTION),
        ({"ViewCodeSequence": view("127457009")}, SPECIMEN),
        ({"ViewCodeSequence": view("G-8310", "SRT")}, SPECIMEN),
        ({"ViewPosition": "SPECIMEN"}, SPECIMEN),
        ({"BodyPartExamined": "BREAST SPECIMEN"}, SPECIMEN),
        (image_type("SPECIMEN"), SPECIMEN),
        ({"ContainerIdentifier": "17"}, SPECIMEN),
    ],
)
def test_what_shows_no_breast_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_mammogram(save(tmp_path / "a.dcm", mammogram(**changes)))
    assert caught.value.problem.startswith(words)
    assert caught.value.problem.endswith("expected a plain mammogram")


def test_projections_are_refused_by_their_class_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram(SOPClassUID=BreastProjectionXRayImageStorageForPresentation))
    with pytest.raises(InputError, match="Breast Projection"):
        read_mammogram(path)


LOW = "the low energy image of a contrast mammogram"
CONTRAST = "an image taken with a contrast agent"
RECOMBINED = "a recombined image of a contrast mammogram"
SUBTRACTION = "a subtraction image"
STEREOTACTIC = "a stereotactic image of a biopsy"
NEEDLE = "an image taken during a biopsy, with its needle in the breast"
AFTER = "an image taken after a biopsy"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (image_type("POST_CONTRAST", "", "LOW_ENERGY"), LOW),
        (image_type("LOW_ENERGY"), LOW),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, SUBTRACTION),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTED"]}, SUBTRACTION),
        ({"ImageType": ["DERIVED", "PRIMARY", "DES"]}, SUBTRACTION),
        ({"ImageType": ["DERIVED", "PRIMARY", "RECOMBINED"]}, RECOMBINED),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "ADDITION"]}, RECOMBINED),
        (image_type("POST_CONTRAST"), CONTRAST),
        ({"ContrastBolusAgent": "IODINE"}, CONTRAST),
        ({"ContrastBolusAgentSequence": [coded("C-B0300")]}, CONTRAST),
        *((image_type(f"STEREO_{kind}"), STEREOTACTIC) for kind in ("SCOUT", "MINUS", "PLUS")),
        (image_type("TOMO_SCOUT"), STEREOTACTIC),
        ({"BiopsyTargetSequence": items({"TargetLabel": "1"})}, STEREOTACTIC),
        *((image_type(f"{when}_{sign}"), NEEDLE) for when in ("PREFIRE", "POSTFIRE") for sign in ("MINUS", "PLUS")),
        (image_type("PREFIRE"), NEEDLE),
        *((image_type(f"{when}_MINUS"), AFTER) for when in ("POSTBIOPSY", "POSTMARKER")),
        (image_type("TOMOSYNTHESIS", "NONE"), "a slice of tomosynthesis"),
    ],
)
def test_what_is_no_plain_mammogram_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(**changes)))
    assert read.warnings == (f"This is {words}, unlike the plain mammograms that the models know.",)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        image_type(),
        image_type(""),
        image_type("PRE_CONTRAST"),
        image_type("", "ADDITIONAL_VIEW"),
        image_type("DESIGNED"),
        {"PositionerType": "MAMMOGRAPHIC"},
        {"PositionerType": "NONE"},
        {"BodyPartExamined": "BREAST"},
        {"ContrastBolusAgent": ""},
    ],
)
def test_a_plain_mammogram_stays_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read_mammogram(save(tmp_path / "a.dcm", mammogram(**changes))).warnings == ()


def test_an_image_made_of_tomosynthesis_is_no_slice(tmp_path: Path) -> None:
    (told,) = read_mammogram(save(tmp_path / "a.dcm", mammogram(**TOMO_2D))).warnings
    assert told.startswith("The image was synthesised from tomosynthesis")
