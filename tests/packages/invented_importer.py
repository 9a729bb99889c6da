"""An importer of a collection that does not exist, in one file, as another package would bring it."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.images import read_image, read_mask
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, FoundMask, UnusableError
from mammoscope.errors import DatasetError


class Invented:
    """``cases.csv`` has a row an image; ``findings.csv`` a row a finding, with a box, a mask's file, or both."""

    name = "invented"
    title = "The Invented Collection"
    licence = "CC0"
    credit = "Invented by nobody, CC0"
    citation = "Nobody. The Invented Collection. Journal of Nowhere, 1901"

    def find(self, source: Path) -> Found:
        if not (source / "cases.csv").is_file():
            raise DatasetError(f"{source}: holds no cases.csv")
        findings: dict[str, list[FoundLesion]] = {}
        for row in _rows(source / "findings.csv"):
            box = tuple(float(side) for side in row["box"].split()) or None
            findings.setdefault(row["file"], []).append(
                FoundLesion(
                    abnormality_id=row["number"],
                    source=row["mask"],
                    box=box,  # type: ignore[arg-type]
                    read_mask=_Mask(source / row["mask"]) if row["mask"] else None,
                    is_one_part=row["kind"] == "mass",
                    kind=row["kind"],
                    pathology={"m": "MALIGNANT", "b": "BENIGN", "?": "UNKNOWN"}[row["verdict"]],
                )
            )
        images = tuple(
            FoundImage(
                name=Path(row["file"]).stem,
                patient_id=row["woman"],
                read=partial(read_invented, source / row["file"]),
                source=row["file"],
                breast_side={"l": "LEFT", "r": "RIGHT", "": ""}[row["side"]],
                view=row["view"],
                exam=row["year"],
                split=row["part"],
                pixel_spacing_mm=(0.1, 0.1),
                normal=True if row["verdict"] == "normal" else None,
                lesions=tuple(findings.get(row["file"], ())),
            )
            for row in _rows(source / "cases.csv")
        )
        return Found(images, problems=(("film 0", "was never taken"),), remarks={"rooms": ("nowhere",)})


def read_invented(path: Path) -> NDArray[np.uint16]:
    """The pixels; files of two kinds show what an importer's own faults do."""
    content = path.read_bytes() if path.is_file() else b""
    if not content:
        raise UnusableError(f"{path.name} is missing")
    if content.startswith(b"CRASH"):
        os._exit(9)
    if content.startswith(b"FAULT"):
        raise KeyError("a name that must not be told")
    return read_image(path)


@dataclass(frozen=True)
class _Mask:
    path: Path

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        mask = read_mask(self.path)
        return FoundMask(mask, "odd_masks" if mask.shape != shape else "")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
