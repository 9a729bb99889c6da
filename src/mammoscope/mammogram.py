"""A mammogram as the pipeline uses it: display-ready pixels and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Laterality(StrEnum):
    """Which breast."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


@dataclass(frozen=True)
class PixelSpacing:
    """Size of a pixel in the plane of the breast, in millimetres.

    Attributes
    ----------
    row_mm, column_mm
        Distance between the centres of neighbouring rows (vertical) and of neighbouring columns (horizontal).
    source
        The DICOM keyword that it was read from, with any correction: ``"ImagerPixelSpacing / 1.8"``.
    """

    row_mm: float
    column_mm: float
    source: str

    def __post_init__(self) -> None:
        if not (0.001 <= self.row_mm <= 10 and 0.001 <= self.column_mm <= 10):
            raise ValueError(
                f"{self.source} is {self.row_mm} x {self.column_mm} mm, it must be in the range (0.001, 10)"
            )


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One view of one breast.

    Attributes
    ----------
    pixels
        ``(H, W) uint16``, frame ``original``: brighter is denser tissue, whatever the file stored (inverted images are
        inverted back). The full range 0-65535 is what a viewer would show from black to white.
    name
        The file's name without folder or extension, for the names of its results.
    sha256
        Hex digest of the file's bytes.
    file_format
        ``"DICOM"``, ``"PNG"``, ``"JPEG"``, ``"TIFF"`` or ``"PGM"``.
    bits
        Bits a pixel that the file stored.
    laterality, view
        Which breast, and the view's short name (``"CC"``, ``"MLO"``, ``"ML"``, ``"LM"``, ``"XCCL"``…); None: not known.
    spacing
        Pixel spacing, None if the file does not state it.
    pixel_aspect
        Height of a pixel divided by its width. 1 for square pixels; other values for stretched images.
    sop_instance_uid, modality, manufacturer
        As in the file; None outside DICOM.
    warnings
        What a reader of the results must know about the input, as full sentences.
    exam_key
        The same for two images exactly where both state one study of one patient, see ``readers.exam_key``; None: the
        image says of no exam that it belongs to it. Holds within one run only, and is written nowhere.
    """

    pixels: NDArray[np.uint16]
    name: str
    sha256: str
    file_format: str
    bits: int
    laterality: Laterality | None = None
    view: str | None = None
    spacing: PixelSpacing | None = None
    pixel_aspect: float = 1.0
    sop_instance_uid: str | None = None
    modality: str | None = None
    manufacturer: str | None = None
    warnings: tuple[str, ...] = ()
    exam_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint16:
            raise ValueError(f"pixels must be (H, W) uint16, got {self.pixels.shape} {self.pixels.dtype}")
        if not 0.05 <= self.pixel_aspect <= 20:
            raise ValueError(f"pixel aspect is {self.pixel_aspect}, it must be in the range (0.05, 20)")

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])
