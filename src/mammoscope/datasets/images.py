"""The images of a dataset, as training and evaluation use them."""

from __future__ import annotations

from mammoscope.datasets.layout import IMAGE_TABLE, Dataset
from mammoscope.datasets.pixels import read_crop, read_image, read_mask
from mammoscope.files import file_sha256
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing

__all__ = ["dataset_mammogram", "read_crop", "read_image", "read_mask"]

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".pgm": "PGM"}


def dataset_mammogram(dataset: Dataset, image: str) -> Mammogram:
    """An image of a dataset as the pipeline takes it, with the pixel aspect that the table knows or assumes."""
    path = dataset.image_path(image)
    pixels = read_image(path)
    height, width = pixels.shape
    row = dataset.image_row(image)
    spacing = row.pixel_spacing_mm
    return Mammogram(
        pixels=pixels,
        name=path.stem,
        sha256=file_sha256(path),
        file_format=_FORMATS.get(path.suffix.lower(), path.suffix.lstrip(".").upper()),
        bits=8 if _FORMATS.get(path.suffix.lower()) == "JPEG" else 16,
        laterality=Laterality(row.breast_side) if row.breast_side else None,
        view=row.view or None,
        spacing=None if spacing is None else PixelSpacing(*spacing, source=f"{IMAGE_TABLE}, pixel_spacing_mm"),
        pixel_aspect=dataset.pixel_aspect(image, width, height),
    )
