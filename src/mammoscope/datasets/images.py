"""The images of a dataset, as training and evaluation take them."""

from __future__ import annotations

from mammoscope.bundle import file_sha256
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.pixels import read_crop, read_image, read_mask
from mammoscope.mammogram import Laterality, Mammogram

__all__ = ["dataset_mammogram", "read_crop", "read_image", "read_mask"]

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


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
