"""A lookup table of a DICOM file, as files have it: packed or in words, its first value signed or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mammoscope.readers.dicom.header import Header


@dataclass(frozen=True, eq=False)
class LookupTable:
    """Entries ``(N,) int64`` for the inputs from ``first`` on (PS3.3 C.11.1, C.11.2).

    Attributes
    ----------
    white
        The largest output that entries of this table may have.
    """

    entries: NDArray[np.int64]
    first: int
    white: int

    @classmethod
    def read(cls, item: Header) -> Self | None:
        """The table in an item of a LUT sequence, its first input as stated; None if it is damaged."""
        descriptor = item.numbers("LUTDescriptor", 3, -(1 << 15), (1 << 16) - 1)
        entries = None if descriptor is None else _entries(item, int(descriptor[0]) & 0xFFFF or 1 << 16)
        if descriptor is None or entries is None or not 0 < entries.max() < 1 << 16 or entries.min() < 0:
            return None
        bits = int(np.clip(descriptor[2], 8, 16))
        needed = int(entries.max()).bit_length()
        # Tables that state 16 bits and hold 12 are common, and would be shown nearly black.
        white = (1 << (needed if needed > bits or needed < bits - 1 else bits)) - 1
        return cls(entries, int(descriptor[1]), white)

    def meeting(self, values: NDArray[np.float64]) -> Self:
        """The same table for these inputs.

        The first input is stated signed or unsigned as pixels are, which files mix up: the form that meets them is
        meant.
        """
        lowest, highest = values.min(), values.max()
        forms = (self.first, self.first - (1 << 16), self.first + (1 << 16))
        met = (form for form in forms if form <= highest and form + len(self.entries) > lowest)
        return replace(self, first=next(met, self.first))

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Look values up; those before the first or after the last entry get that entry (PS3.3 C.11.2.1.1)."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[index], dtype=np.float64)


def _entries(item: Header, count: int) -> NDArray[np.int64] | None:
    """LUT Data, in words or packed bytes."""
    data = item.value("LUTData")
    if isinstance(data, bytes):
        if len(data) not in (count, count + count % 2, 2 * count):
            return None
        order = "<" if item.is_little_endian else ">"
        words = np.frombuffer(data, np.uint8 if len(data) < 2 * count else np.dtype(f"{order}u2"))
        return words[:count].astype(np.int64)
    try:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
    except (TypeError, ValueError, OverflowError):
        return None
    return entries[:count] if len(entries) >= count else None
