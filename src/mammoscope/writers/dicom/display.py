"""How a file says that its image is to be shown, as a presentation state repeats it (PS3.4 N.2)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.dicom.lookup_table import LookupTable
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
    """The first lookup table of a sequence; None if there is none, or it is damaged.

    ``fill`` stretches entries of fewer bits over all 16, so that white stays white.
    """
    items = header.items(keyword)
    read = LookupTable.read(items[0]) if items else None
    if read is None:
        return None
    entries = read.entries * ((1 << _BITS) - 1) // read.white if fill else read.entries
    table = Dataset()
    # Signed words where the first mapped value needs them; a count of 65536 is written as 0.
    words = np.array([len(entries) & 0xFFFF, read.first & 0xFFFF, _BITS], dtype=np.uint16)
    vr, numbers = ("SS", words.view(np.int16)) if read.first < 0 else ("US", words)
    table.add_new("LUTDescriptor", vr, numbers.tolist())
    table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return table
