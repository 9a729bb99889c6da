"""Read the pictures of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import file_sha256
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.pixels import whole_file_header
from mammoscope.errors import DatasetError
from mammoscope.mammogram import Laterality, Mammogram

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


def read_image(path: Path) -> NDArray[np.uint16]:
    """A full mammogram ``(H, W) uint16``; 8-bit files are scaled to the full range.

    Raises
    ------
    DatasetError
        The file is cut off, cannot be decoded, or is not one grey channel of 8 or 16 bits.
    """
    pixels = _read(path)
    scale = 1 if pixels.dtype == np.uint16 else 257
    return np.asarray(pixels.astype(np.uint16) * np.uint16(scale), dtype=np.uint16)


def read_crop(path: Path) -> NDArray[np.uint8]:
    """A lesion crop ``(H, W) uint8``."""
    pixels = _read(path)
    if pixels.dtype != np.uint8:
        raise DatasetError(f"{path}: has 16 bits a pixel, expected 8")
    return np.asarray(pixels, dtype=np.uint8)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask ``(H, W) bool``: True on the mass."""
    return np.asarray(read_crop(path) > 127)


def dataset_mammogram(dataset: Dataset, image: str) -> Mammogram:
    """An image of a dataset as the pipeline takes it, with the pixel aspect that the table knows or assumes."""
    path = dataset.image_path(image)
    pixels = read_image(path)
    height, width = pixels.shape
    lesion = dataset.images[image][0]
    return Mammogram(
        pixels=pixels,
        name=path.stem,
        sha256=file_sha256(path),
        file_format=_FORMATS.get(path.suffix.lower(), path.suffix.lstrip(".").upper()),
        bits=8 if _FORMATS.get(path.suffix.lower()) == "JPEG" else 16,
        laterality=Laterality(lesion.breast_side),
        view=lesion.view or None,
        pixel_aspect=dataset.pixel_aspect(image, width, height),
    )


def _read(path: Path) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    whole_file_header(path, data)  # OpenCV fills up what is missing of a JPEG file with grey
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DatasetError(f"{path}: cannot be decoded")
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path}: is {pixels.shape} {pixels.dtype}, expected one grey channel of 8 or 16 bits")
    return np.asarray(pixels)
