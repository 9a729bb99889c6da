"""The one image that was asked for, and what arrives of it by C-STORE."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from threading import Event
from typing import cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode_file_meta

from mammoscope.readers.uids import kept_uid

_TAKEN, NOT_ASKED_FOR = 0x0000, 0x0124  # success; refused, not authorised
_BLOCK = 1 << 20


class Arrival:
    """Takes one image, and nothing else.

    Parameters
    ----------
    sop_instance
        Its UID.

    Attributes
    ----------
    others
        How many objects came that were not asked for.
    """

    def __init__(self, sop_instance: str) -> None:
        self.others = 0
        self._sop_instance = sop_instance
        self._head = b""
        self._content: BytesIO | None = None
        self._has_come = Event()

    @property
    def is_here(self) -> bool:
        """Whether it has arrived."""
        return self._has_come.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it has arrived, or does within so many seconds."""
        return self._has_come.wait(seconds)

    def take(self, event: evt.Event) -> int:
        """Take it: for ``EVT_C_STORE``; returns the status to answer with."""
        request = cast(C_STORE, event.request)
        if kept_uid(request.AffectedSOPInstanceUID) != self._sop_instance or request.DataSet is None:
            self.others += 1
            return NOT_ASKED_FOR
        if not self.is_here:
            self._head = bytes(128) + b"DICM" + encode_file_meta(event.file_meta)
            self._content = request.DataSet
            self._has_come.set()
        return _TAKEN

    def blocks(self) -> Iterator[bytes]:
        """The DICOM file, in pieces; without a copy of the whole."""
        assert self._content is not None
        yield self._head
        with self._content.getbuffer() as content:
            for start in range(0, len(content), _BLOCK):
                yield bytes(content[start : start + _BLOCK])
