"""How a file says that its image is to be shown, as a presentation state repeats it (PS3.4 N.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.dicom.polarity import says_inverted

_HUGE = 1e12
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_UNSPECIFIED = "US"  # units: of what a table or a slope gives
_BITS = 16  # of a table's entries: a presentation state may have 8 or 16 alone, an image any number between


def shown_as(header: Header) -> Dataset:
    """The elements of Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT.

    A presentation state replaces the transformations of its image, so that one without these shows another picture.
    What the file does not state, or states wrongly, is left out: then all stored values are shown.
    """
    header = header.of_frame()
    shown = _modality(header)
    if voi := _voi(header):
        shown.SoftcopyVOILUTSequence = [voi]
    shown.PresentationLUTShape = "INVERSE" if says_inverted(header) else "IDENTITY"
    return shown


def _modality(header: Header) -> Dataset:
    module = Dataset()
    if table := _table(header, "ModalityLUTSequence"):
        table.ModalityLUTType = _UNSPECIFIED
        module.ModalityLUTSequence = [table]
        return module
    slope = header.number("RescaleSlope", -_HUGE, _HUGE) or 1.0
    intercept = header.number("RescaleIntercept", -_HUGE, _HUGE) or 0.0
    if (slope, intercept) != (1.0, 0.0):
        module.RescaleSlope, module.RescaleIntercept = format_number_as_ds(slope), format_number_as_ds(intercept)
        module.RescaleType = _UNSPECIFIED
    return module


def _voi(header: Header) -> Dataset | None:
    """The first table or, without one, the first window."""
    voi = Dataset()
    if table := _table(header, "VOILUTSequence", fill=True):
        voi.VOILUTSequence = [table]
        return voi
    center, width = header.number("WindowCenter", -_HUGE, _HUGE), header.number("WindowWidth", 0, _HUGE)
    function = header.code("VOILUTFunction")
    if center is None or not width or (width < 1 and function in (None, "LINEAR")):
        return None
    voi.WindowCenter, voi.WindowWidth = format_number_as_ds(center), format_number_as_ds(width)
    if function in _FUNCTIONS:
        voi.VOILUTFunction = function
    return voi


def _table(header: Header, keyword: str, *, fill: bool = False) -> Dataset | None:
    """The first lookup table of a sequence; None if there is none, or not all its entries.

    ``fill`` stretches entries of fewer bits over all 16, so that white stays white.
    """
    for item in header.items(keyword)[:1]:
        descriptor = item.numbers("LUTDescriptor", 3, -(1 << 15), (1 << 16) - 1)
        if descriptor is None:
            return None
        count, first, bits = (int(number) for number in descriptor)
        entries = _entries(item, count & 0xFFFF or 1 << 16)
        if entries is None:
            return None
        if fill:
            white = (1 << min(max(bits, 8), _BITS)) - 1
            entries = np.minimum(entries, white) * ((1 << _BITS) - 1) // white
        table = Dataset()
        # Signed words where the first mapped value needs them; a count of 65536 is written as 0.
        words = np.array([count & 0xFFFF, first & 0xFFFF, _BITS], dtype=np.uint16)
        vr, numbers = ("SS", words.view(np.int16)) if first < 0 else ("US", words)
        table.add_new("LUTDescriptor", vr, numbers.tolist())
        table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
        return table
    return None


def _entries(item: Header, count: int) -> NDArray[np.int64] | None:
    """LUT Data as 16-bit numbers; None unless there are as many as the descriptor says."""
    data = item.value("LUTData")
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if item.is_little_endian else ">u2").astype(np.int64)
    else:
        try:
            words = np.atleast_1d(np.asarray(data, dtype=np.int64))
        except (TypeError, ValueError, OverflowError):
            return None
    is_whole = len(words) >= count and int(words.min()) >= 0 and int(words.max()) < 1 << 16
    return words[:count] if is_whole else None
