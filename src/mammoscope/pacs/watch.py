"""Look for new mammograms on a DICOMweb server."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

from mammoscope.pacs.dicomweb import DicomWeb
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image
from mammoscope.pacs.retries import FailedError
from mammoscope.readers.dicom.admission import FOR_PROCESSING, IMAGE_CLASSES
from mammoscope.readers.uids import is_standard_uid

logger = logging.getLogger(__name__)

_LAST_LOOK = "last look"
_OVERLAP = timedelta(days=2)  # images may arrive later than their study's date


class Watch:
    """Finds images and queues them; each is found once, whatever happens in between.

    Parameters
    ----------
    server
        Where to look.
    queue
        The queue.
    modalities
        Which images to take.
    since
        Studies dated from this day on; None: from two days before the last successful query, or before the first.
    """

    def __init__(self, server: DicomWeb, queue: ImageQueue, modalities: tuple[str, ...], since: date | None) -> None:
        self._server, self._queue, self._modalities, self._since = server, queue, modalities, since
        self._is_first = True

    def look(self) -> int:
        """Queue new images; returns how many.

        A study whose number of instances has not changed is skipped, except in the first query of a process. If the
        server fails on a study, the others continue, and the next query tries it again.

        Raises
        ------
        UnavailableError, FailedError
            The server cannot be reached, or gives no list of studies.
        """
        today = datetime.now(UTC).date()
        new, failed = 0, 0
        for modality in self._modalities:
            for study in self._server.studies(modality, self._since or self._first_day(today)):
                name = f"{modality} {study.uid}"
                is_counted = study.instances is not None
                if is_counted and not self._is_first and self._queue.memory.instances_seen(name) == study.instances:
                    continue
                try:
                    new += self._look_into(study.uid, modality)
                except FailedError as error:
                    logger.warning("a study cannot be queried: %s", error)
                    failed += 1
                    continue
                if study.instances is not None:
                    self._queue.memory.saw_study(name, study.instances)
        if not failed:
            self._is_first = False
            self._queue.memory.write_note(_LAST_LOOK, today.isoformat())
        return new

    def _first_day(self, today: date) -> date:
        noted = self._queue.memory.note(_LAST_LOOK)
        return (today if noted is None else min(today, date.fromisoformat(noted))) - _OVERLAP

    def _look_into(self, study: str, modality: str) -> int:
        found = [item for item in self._server.instances(study, modality) if item.sop_class in IMAGE_CLASSES]
        new = [
            item
            for item in found
            if not self._queue.memory.is_result(item.sop_instance)
            and self._queue.find(item.sop_instance, item.sop_class, item.study, item.series)
        ]
        for item in new:
            if not all(map(is_standard_uid, (item.study, item.series, item.sop_instance))):
                logger.warning(
                    "%s: a UID of it is not written as a UID should be; it is used as it stands",
                    key_of(item.sop_instance),
                )
        return len(new)


class Fetcher:
    """The step from FOUND to RECEIVED.

    Parameters
    ----------
    hold
        Seconds that an image For Processing waits for the same exposure For Presentation.
    """

    def __init__(self, server: DicomWeb, queue: ImageQueue, hold: float) -> None:
        self._server, self._queue, self._hold = server, queue, hold

    def __call__(self, image: Image) -> None:
        """Fetch one image."""
        if image.study is None or image.series is None:
            raise FailedError("its study or series is not known", final=True)
        content = self._server.fetch(image.study, image.series, image.sop_instance)
        self._queue.fetched(image, content, self._hold if image.sop_class in FOR_PROCESSING else 0.0)
        logger.info("%s: fetched", image.key)
