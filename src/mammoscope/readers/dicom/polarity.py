"""Which values are white: what a DICOM header says of it, and what only the picture tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammoscope.readers.air import is_inverted, reduction
from mammoscope.readers.dicom.header import Header, described

_PHOTOMETRIC, _SHAPE = "PhotometricInterpretation", "PresentationLUTShape"
# For X-ray images each pair means the same (PS3.3 C.8.11.3.1.2), so a file with both is inverted once.
_AGREEING = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}


def says_inverted(header: Header) -> bool:
    """Whether the header says that low values are white, in one of the two places."""
    return header.code(_PHOTOMETRIC) == "MONOCHROME1" or header.code(_SHAPE) == "INVERSE"


def shown_rightly(
    header: Header,
    brightness: NDArray[np.float64],
    patterns: NDArray[np.unsignedinteger],
    is_padding: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The brightness of each stored value, turned where the picture surely shows air bright. Says what was in doubt.

    Parameters
    ----------
    header
        Gets the warnings.
    brightness, is_padding
        ``(2 ** bits,)``: of each stored value, as the header says.
    patterns
        ``(H, W)``: the stored values.
    """
    seen = patterns[:: reduction(patterns), :: reduction(patterns)]
    ignored = is_padding[seen] if is_padding.any() else None
    turned = is_inverted(brightness[seen], ignored)
    if contradiction := _contradiction(header):
        sure = turned or is_inverted(1.0 - brightness[seen], ignored)
        follows = "the air around the breast tells which" if sure else "make sure that dense tissue is shown bright"
        header.warnings.append(f"{contradiction}: only one can be true, {follows}.")
    elif turned:
        header.warnings.append(
            "The air around the breast would be bright, so the file is wrong about which values are white: the image "
            "is shown inverted."
        )
    return 1.0 - brightness if turned else brightness


def _contradiction(header: Header) -> str | None:
    photometric, shape = header.code(_PHOTOMETRIC), header.code(_SHAPE)
    if shape not in _AGREEING.values() or photometric not in _AGREEING or _AGREEING[photometric] == shape:
        return None
    return f"{described(_PHOTOMETRIC)} is {photometric} but {described(_SHAPE)} is {shape}"
