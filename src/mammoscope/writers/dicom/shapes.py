"""Boxes and outlines as DICOM's graphics: polylines of (column, row), frame ``original``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammoscope.findings import Analysis, Box, Finding

_MOST_POINTS = 8000  # a value of type FL takes 64 KiB at most in explicit VR


def outline_of(finding: Finding) -> NDArray[np.float64]:
    """``(N, 2)`` of (x, y); empty where no outline was found."""
    return np.array(finding.outline, dtype=np.float64).reshape(-1, 2)


def segment_numbers(analysis: Analysis) -> dict[int, int]:
    """The segment of each outlined finding in the segmentation of an image, by the number of the finding, from 1."""
    outlined = [number for number, finding in enumerate(analysis.findings, start=1) if finding.outline]
    return {number: segment for segment, number in enumerate(outlined, start=1)}


def corners(box: Box) -> NDArray[np.float64]:
    """``(4, 2)`` of (x, y), clockwise from the top left."""
    return np.array([(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)])


def closed(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """A polygon that ends where it starts, as closed ones do in DICOM; one that is too long loses every nth point."""
    kept = polygon[:: -(-len(polygon) // _MOST_POINTS)]
    return np.concatenate([kept, kept[:1]])
