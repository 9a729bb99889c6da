"""The step from ANALYSED to SENT: store the results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.settings import Node, Target
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.tls import Tls

logger = logging.getLogger(__name__)


class Archive(Protocol):
    """Stores all instances or fails; ``check`` sees whether it answers at all."""

    def check(self) -> None: ...

    def store(self, datasets: Sequence[Dataset]) -> None: ...

    def interrupt(self) -> None: ...


def archive_of(target: Target, title: str, tls: Tls | None) -> Archive:
    """What stores instances at a target; ``title`` and ``tls`` are for a DICOM application."""
    if isinstance(target, Node):
        return Dimse(target, title, None if tls is None else tls.for_calling())
    return DicomWeb(target)


class Sender:
    """Sends the results of one image at a time.

    The results are on disk and their UIDs are fixed, so after a failure half-way the same objects are sent again, and
    an archive recognises them by their UIDs.
    """

    def __init__(self, archive: Archive, queue: ImageQueue) -> None:
        self._archive, self._queue = archive, queue

    def check(self) -> None:
        """See whether the archive answers."""
        self._archive.check()

    def __call__(self, image: Image) -> None:
        """Send the results of one image."""
        try:
            results = [dcmread(path) for path in self._queue.place(image).results()]
        except Exception as error:  # what a damaged file makes pydicom raise is not bounded
            results = []
            logger.error("%s: its results cannot be read (%s)", image.key, type(error).__name__)
        if not results:
            self._queue.analyse_again(image, "its results were not on disk")
            return
        self._archive.store(results)
        self._queue.finish(image, ImageState.SENT)
        logger.info("%s: %d result%s sent", image.key, len(results), "" if len(results) == 1 else "s")
