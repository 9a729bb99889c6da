"""Pixel spacing in the plane of the breast.

Where it is read from (DICOM PS3.3, 10.7.1.3 and C.8.11.7):

1. Pixel Spacing, if it is calibrated: Pixel Spacing Calibration Type is present, or its value differs from Imager
   Pixel Spacing. It then is already the spacing in the breast.
2. Imager Pixel Spacing, which is the spacing at the detector, divided by the magnification (``magnification.py``): the
   breast lies nearer to the tube, so its pixels are smaller. In a magnification view whose magnification is not known
   it cannot be used.
3. Pixel Spacing without calibration, as in old files: the scale of the film or the plate.
4. Nominal Scanned Pixel Spacing: the film scanner's step.

In a magnification view 3 and 4 cannot be used either: the film shows the breast enlarged.
"""

from __future__ import annotations

from math import isclose

from mammoscope.mammogram import PixelSpacing
from mammoscope.readers.dicom.header import Header, described
from mammoscope.readers.dicom.magnification import Magnification

_MM = (0.001, 10.0)
_ASPECT = (0.05, 20.0)
_SAME = 0.001  # relative difference below which two spacings are the same


def spacing_of(header: Header, magnification: Magnification) -> PixelSpacing | None:
    """Pixel spacing in the breast, None where the file does not say it."""
    pixel = header.numbers("PixelSpacing", 2, *_MM)
    imager = header.numbers("ImagerPixelSpacing", 2, *_MM)
    if pixel and _is_calibrated(header, pixel, imager):
        kind = header.code("PixelSpacingCalibrationType")
        return PixelSpacing(pixel[0], pixel[1], f"PixelSpacing ({kind})" if kind else "PixelSpacing")
    source = "PixelSpacing" if pixel else "NominalScannedPixelSpacing"
    film = None if imager else pixel or header.numbers(source, 2, *_MM)
    problem = magnification.problem
    if film and magnification.magnified:
        problem = f"This is a magnification view without {described('ImagerPixelSpacing')}"
    if problem and (imager or film):
        header.warnings.append(f"{problem}, so the pixel spacing in the breast is not known.")
        return None
    if imager:
        return _in_breast(imager, magnification.factor)
    return PixelSpacing(film[0], film[1], source) if film else None


def pixel_aspect_of(header: Header, spacing: PixelSpacing | None) -> float:
    """Height of a pixel over its width: by the spacing, else by Pixel Aspect Ratio, else 1."""
    if spacing is not None:
        aspect = spacing.row_mm / spacing.column_mm
    else:
        ratio = header.numbers("PixelAspectRatio", 2, 1, 1e6)
        for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
            ratio = ratio or header.numbers(keyword, 2, *_MM)
        aspect = ratio[0] / ratio[1] if ratio else 1.0
    if not _ASPECT[0] <= aspect <= _ASPECT[1]:
        header.warnings.append(f"The pixels would be {aspect:g} times as high as wide; they are taken as square.")
        return 1.0
    return aspect


def _is_calibrated(header: Header, pixel: tuple[float, ...], imager: tuple[float, ...] | None) -> bool:
    if header.code("PixelSpacingCalibrationType") is not None:
        return True
    return imager is not None and not all(isclose(a, b, rel_tol=_SAME) for a, b in zip(pixel, imager, strict=True))


def _in_breast(imager: tuple[float, ...], factor: float | None) -> PixelSpacing | None:
    if factor is None or factor == 1:
        return PixelSpacing(imager[0], imager[1], "ImagerPixelSpacing")
    row_mm, column_mm = imager[0] / factor, imager[1] / factor
    if min(row_mm, column_mm) < _MM[0]:
        return None
    return PixelSpacing(row_mm, column_mm, f"ImagerPixelSpacing / {factor:.4g}")
