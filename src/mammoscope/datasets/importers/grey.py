"""The pixels of a collection's images, as an analysis would show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.importers.importer import FoundMask, UnusableError
from mammoscope.readers.limits import Limits
from mammoscope.readers.read import read_mammogram

RASTERS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"})
DICOMS = frozenset({".dcm", ".dicom"})
_LIMITS = Limits(min_side=1)  # crops are smaller than any mammogram


@dataclass(frozen=True)
class ShownImage:
    """Reads an image file: DICOM with its window, PNG, JPEG, TIFF or PGM; ``(H, W) uint16``, brighter is denser.

    Attributes
    ----------
    path
        The file.
    size
        Rows and columns that the collection states; another size is refused. None: any.
    """

    path: Path
    size: tuple[int, int] | None = None

    def __call__(self) -> NDArray[np.uint16]:
        pixels = read_mammogram(self.path, _LIMITS).pixels
        if self.size is not None and pixels.shape != self.size:
            (rows, columns), (height, width) = self.size, pixels.shape
            raise UnusableError(f"has {width} x {height} pixels, the collection says {columns} x {rows}")
        return pixels


@dataclass(frozen=True)
class MaskFile:
    """Reads the mask in an image file: what is brighter than half of white is the lesion."""

    path: Path

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        return FoundMask(np.asarray(read_mammogram(self.path, _LIMITS).pixels > 32767))
