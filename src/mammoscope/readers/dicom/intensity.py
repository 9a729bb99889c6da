"""From stored values to display values: one table that holds every step, looked up once for each pixel.

The steps are those of the DICOM grayscale pipeline (PS3.4 N.2): Modality LUT, VOI LUT, presentation. A table of
``2 ** bits`` entries makes them cheap for any size of image, and exact for 8 to 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.levels import count_levels, look_up
from mammoscope.readers.dicom.codecs import StoredPixels
from mammoscope.readers.dicom.header import Header, described
from mammoscope.readers.dicom.lookup_table import LookupTable
from mammoscope.readers.dicom.polarity import says_inverted, shown_rightly

Floats = NDArray[np.float64]

_WHITE = 65535
_RANGE = (0.0001, 0.9999)  # quantiles that become black and white if the file states no window
_RAW_RANGE = (0.001, 0.999)  # of a detector's raw values, where dead pixels and the frame reach further out
_USUAL_LEVELS = 32  # an image with fewer stored values may rightly be black and white
_LEAST_SHADED = 0.001  # of the pixels that a window must leave between black and white
_LEAST_SHADES = 5  # that a window must leave
_HUGE = 1e12


@dataclass(frozen=True, eq=False)
class _Levels:
    """The stored values, and how often each occurs outside the padding; arrays are ``(2 ** bits,)``."""

    stored: NDArray[np.int64]
    counts: NDArray[np.int64]
    is_padding: NDArray[np.bool_]


def to_display(stored: StoredPixels, header: Header, *, for_processing: bool) -> NDArray[np.uint16]:
    """Display values ``(H, W) uint16``, brighter is denser; pixel padding is black.

    A file without a usable window is shown from its darkest to its brightest pixels. Raw values ("for processing") are
    turned into density by the logarithm, as Pixel Intensity Relationship says.
    """
    levels = _levels(stored, header)
    if not levels.counts.any():
        header.warnings.append("The image is empty: it holds nothing but padding.")
    elif np.count_nonzero(levels.counts) == 1:
        header.warnings.append("The image is empty: all its pixels have the same value.")
    values = _modality(header, levels.stored)
    brightness = _density(header, levels, values) if for_processing else _viewed(header, levels, values)
    brightness = shown_rightly(header, np.clip(brightness, 0.0, 1.0), stored.patterns, levels.is_padding)
    brightness[levels.is_padding] = 0.0
    table = np.rint(brightness * _WHITE).astype(np.uint16)
    return look_up(table, stored.patterns)


def _levels(stored: StoredPixels, header: Header) -> _Levels:
    values = stored.values()
    is_padding = _padding(header, values, stored)
    counts = count_levels(stored.patterns, len(values))
    counts[is_padding] = 0
    return _Levels(values, counts, is_padding)


def _padding(header: Header, values: NDArray[np.int64], stored: StoredPixels) -> NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2): one value, or a range; none where it cannot occur."""
    bounds = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        bound = header.number(keyword, -(1 << 15), (1 << 16) - 1)
        if bound is not None:
            bounds.append(_as_stored(int(bound), values, stored))
        elif keyword == "PixelPaddingValue":
            break
    if not bounds:
        return np.zeros(len(values), dtype=bool)
    return np.asarray((values >= min(bounds)) & (values <= max(bounds)))


def _as_stored(bound: int, values: NDArray[np.int64], stored: StoredPixels) -> int:
    """A bound of padding as a stored value: files mix up the signed and the unsigned form of the same bits."""
    word, size = 1 << 16, 1 << stored.bits
    signed_forms = [bound, bound - word, *([bound - size] if bound < size else [])]
    forms = signed_forms if stored.signed else [bound, bound + word]
    return next((form for form in forms if values.min() <= form <= values.max()), bound)


def _modality(header: Header, stored: NDArray[np.int64]) -> Floats:
    """Apply the Modality LUT, or Rescale Slope and Intercept."""
    table = _first_table(header, "ModalityLUTSequence", stored.astype(np.float64))
    if table is not None:
        return table.apply(stored.astype(np.float64))
    slope = header.number("RescaleSlope", -_HUGE, _HUGE)
    intercept = header.number("RescaleIntercept", -_HUGE, _HUGE)
    if slope == 0:
        header.warnings.append(f"{described('RescaleSlope')} is 0, which leaves no image: not used.")
        return stored.astype(np.float64)
    return stored.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)


def _viewed(header: Header, levels: _Levels, values: Floats) -> Floats:
    """Brightness of an image that is meant to be looked at."""
    brightness = _voi(header, values)
    if brightness is not None and _hides_image(levels, brightness):
        header.warnings.append(
            "The file's window shows almost no grey levels of the image; the full range is shown instead."
        )
        brightness = None
    if brightness is None:
        brightness = _stretched(levels, values, _RANGE)
    return 1.0 - brightness if says_inverted(header) else brightness


def _voi(header: Header, values: Floats) -> Floats | None:
    """Apply the first VOI LUT, else the first window; None where there is neither."""
    table = _first_table(header, "VOILUTSequence", values)
    if table is not None:
        return table.apply(values) / table.white
    center = header.number("WindowCenter", -_HUGE, _HUGE)
    width = header.number("WindowWidth", 0, _HUGE)
    if center is None or width is None:
        return None
    function = header.code("VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        header.warnings.append(
            f"{described('VOILUTFunction')} is {header.shown('VOILUTFunction')}, expected LINEAR, LINEAR_EXACT or "
            "SIGMOID: taken as LINEAR."
        )
        function = "LINEAR"
    if width < 1 if function == "LINEAR" else width == 0:
        header.warnings.append(f"{described('WindowWidth')} is {width:g}, which leaves no range: not used.")
        return None
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _hides_image(levels: _Levels, brightness: Floats) -> bool:
    """Whether a window leaves almost no pixel of a grey image between black and white, or almost no grey level."""
    occurs = levels.counts > 0
    if np.count_nonzero(occurs) < _USUAL_LEVELS:
        return False
    shaded = occurs & (brightness > 0.5 / _WHITE) & (brightness < 1 - 0.5 / _WHITE)
    few_pixels = levels.counts[shaded].sum() < _LEAST_SHADED * levels.counts.sum()
    return bool(few_pixels or len(np.unique(brightness[occurs])) < _LEAST_SHADES)


def _stretched(levels: _Levels, values: Floats, quantiles: tuple[float, float]) -> Floats:
    """Brightness from the darkest to the brightest pixels, without a few outliers."""
    occurring = np.flatnonzero(levels.counts)
    if not len(occurring):
        return np.zeros(len(values))
    order = occurring[np.argsort(values[occurring], kind="stable")]
    share = np.cumsum(levels.counts[order]) / levels.counts.sum()
    low, high = (values[order[min(int(np.searchsorted(share, one)), len(order) - 1)]] for one in quantiles)
    if high == low:
        return np.where(values > low, 1.0, 0.0)
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0))


def _density(header: Header, levels: _Levels, values: Floats) -> Floats:
    """Brightness of a detector's raw values: the logarithm of the attenuation, stretched."""
    relation = header.code("PixelIntensityRelationship")
    sign = header.number("PixelIntensityRelationshipSign", -1, 1)
    if sign in (None, 0):
        # Raw images that do not say: MONOCHROME1 means that low values are to be shown white.
        sign = 1 if header.code("PhotometricInterpretation") == "MONOCHROME1" else -1
    header.warnings.append(
        "The file holds a detector's raw values (FOR PROCESSING), not the processed image that is meant for reading; "
        "its contrast is only approximated, and findings are less certain."
    )
    occurring = values[levels.counts > 0]
    if not len(occurring):
        return np.zeros(len(values))
    if relation == "LOG":
        density = -values if sign == 1 else values
    else:
        exposure = values - occurring.min() if sign == 1 else occurring.max() - values
        density = -np.log(np.maximum(exposure, 0.0) + 1.0)
    return _stretched(levels, density, _RAW_RANGE)


def _first_table(header: Header, keyword: str, values: Floats) -> LookupTable | None:
    """The first table of a LUT sequence, for these values; None if there is none, or it is damaged: then it is said."""
    items = header.items(keyword)
    if not items:
        return None
    table = LookupTable.read(items[0])
    if table is None:
        header.warnings.append(f"The table in {described(keyword)} cannot be read: not used.")
        return None
    return table.meeting(values)
