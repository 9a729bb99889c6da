"""A small CBIS-DDSM download: real DICOM files in the published layout, and the four tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

ROWS, COLUMNS = 180, 100
TABLES = [f"{kind}_case_description_{split}_set.csv" for kind in ("mass", "calc") for split in ("train", "test")]
FOLDERS = {"train": "Mass-Training", "test": "Mass-Test"}
CALC_FOLDERS = {"train": "Calc-Training", "test": "Calc-Test"}

_MASS_HEADER = [
    "patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "abnormality type",
    "mass shape", "mass margins", "assessment", "pathology", "subtlety", "image file path",
    "cropped image file path", "ROI mask file path",
]  # fmt: skip
_CALC_HEADER = [
    "patient_id", "breast density", "left or right breast", "image view", "abnormality id", "abnormality type",
    "calc type", "calc distribution", "assessment", "pathology", "subtlety", "image file path",
    "cropped image file path", "ROI mask file path",
]  # fmt: skip


def uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def film(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint16]:
    """A textured image of 16 bits that uses odd values, so that a lossy step would show."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    waves = 20000 + 9000 * np.sin(x / 9 + seed) * np.cos(y / 13 + 2 * seed) + rng.normal(0, 900, (rows, columns))
    return np.asarray(np.clip(waves, 0, 65535), dtype=np.uint16)


def ellipse(box: tuple[int, int, int, int], rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """A mask of 0 and 255 whose mass exactly spans the box (x, y, width, height)."""
    x, y, width, height = box
    row, column = np.mgrid[0:rows, 0:columns] + 0.5
    inside = ((column - x - width / 2) / (width / 2)) ** 2 + ((row - y - height / 2) / (height / 2)) ** 2 <= 1
    return np.where(inside, 255, 0).astype(np.uint8)


def write_dicom(path: Path, pixels: NDArray[Any], **changes: Any) -> Path:
    """A Secondary Capture file with the tags that the collection's files have."""
    dataset = Dataset()
    bits = 8 * pixels.dtype.itemsize
    elements: dict[str, Any] = {
        "SOPClassUID": SecondaryCaptureImageStorage, "SOPInstanceUID": uid(path), "Modality": "MG",
        "PatientID": path.parts[-4], "BodyPartExamined": "BREAST", "Laterality": "L", "PatientOrientation": "CC",
        "SeriesDescription": "full mammogram images" if bits == 16 else "ROI mask images", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": pixels.shape[0], "Columns": pixels.shape[1],
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0,
        "WindowCenter": 100, "WindowWidth": 50, "PixelData": pixels.tobytes(),
    }  # fmt: skip
    for keyword, value in {**elements, **changes}.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


@dataclass
class Download:
    """Builds the tree, a lesion at a time; ``finish`` writes the tables."""

    root: Path
    masses: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {"train": [], "test": []})
    calcifications: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "test": []})  # without images
    calcs: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {"train": [], "test": []})

    def add(
        self,
        split: str,
        patient: str,
        number: int = 1,
        *,
        side: str = "LEFT",
        view: str = "CC",
        image: NDArray[np.uint16] | None = None,
        mask: NDArray[np.uint8] | None = None,
        names: tuple[str, str] = ("1-1.dcm", "1-2.dcm"),
        mask_first: bool = False,
        series: str = "one",
        own_image: bool = False,
        kind: str = "mass",
        **labels: str,
    ) -> tuple[Path, Path, Path]:
        """A lesion: the paths of its mammogram, crop and mask.

        ``names`` are those of the two files in the lesion's folder, of which the crop is the first, unless
        ``mask_first``; the table always says that the crop is 000000.dcm and the mask 000001.dcm.
        """
        top = f"{(FOLDERS if kind == 'mass' else CALC_FOLDERS)[split]}_{patient}_{side}_{view}"
        lesion = f"{top}_{number}"
        film_folder = lesion + "_full" if own_image else top
        image_path = f"{film_folder}/{uid(film_folder, 'study')}/{uid(film_folder, 'series')}/000000.dcm"
        folder = f"{lesion}/{uid(lesion, 'study')}/{uid(lesion, series)}"
        row = {
            "patient_id": patient, "breast_density": "3", "left or right breast": side, "image view": view,
            "abnormality id": str(number), "abnormality type": "mass", "mass shape": "OVAL",
            "mass margins": "SPICULATED", "assessment": "4", "pathology": "MALIGNANT", "subtlety": "5",
            "image file path": image_path, "cropped image file path": f"{folder}/000000.dcm",
            "ROI mask file path": f"{folder}/000001.dcm\n",
        }  # fmt: skip
        rows = self.masses if kind == "mass" else self.calcs
        rows[split].append({**row, **labels})
        image = film(len(rows["train"]) + 50 * len(rows["test"])) if image is None else image
        mask = ellipse((30, 60, 24, 36)) if mask is None else mask
        crop_name, mask_name = reversed(names) if mask_first else names
        film_path = (self.root / image_path).with_name("1-1.dcm")
        if not film_path.exists():
            write_dicom(film_path, image)
        crop = (image[55:105, 25:60] // 256).astype(np.uint8)
        return (
            film_path,
            write_dicom(self.root / folder / crop_name, crop),
            write_dicom(self.root / folder / mask_name, mask),
        )

    def finish(self) -> Path:
        """Write the tables as they are published, stray line ends and all."""
        for split in ("train", "test"):
            self._write(f"mass_case_description_{split}_set.csv", _MASS_HEADER, self.masses[split])
            rows = [_calcification(split, patient) for patient in self.calcifications[split]]
            rows += [{name: row.get(name, "") for name in _CALC_HEADER} | _density(row) for row in self.calcs[split]]
            self._write(f"calc_case_description_{split}_set.csv", _CALC_HEADER, rows)
        return self.root

    def _write(self, name: str, header: list[str], rows: list[dict[str, str]]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, header)
            writer.writeheader()
            writer.writerows(rows)


def _density(row: dict[str, str]) -> dict[str, str]:
    """The two kinds of table spell this column differently."""
    return {"breast density": row["breast_density"], "abnormality type": "calcification", "calc type": "PLEOMORPHIC"}


def _calcification(split: str, patient: str) -> dict[str, str]:
    """A row whose images are not in the download."""
    path = f"{CALC_FOLDERS[split]}_{patient}_LEFT_CC/1.2.3/{uid(patient, 'calc')}/000000.dcm"
    paths = dict.fromkeys(("image file path", "cropped image file path", "ROI mask file path"), path)
    told = {"left or right breast": "LEFT", "image view": "CC", "pathology": "BENIGN", "patient_id": patient}
    return {**dict.fromkeys(_CALC_HEADER, "1"), **told, **paths}
