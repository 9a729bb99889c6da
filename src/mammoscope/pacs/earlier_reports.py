"""Fetch what mammoscope reported on a study before, from the archive that has it, so that new reports can name it."""

from __future__ import annotations

import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammoscope.pacs.memory import Memory
from mammoscope.pacs.retries import NotYetError
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.peers.found import Instance, Source
from mammoscope.writers.dicom.result_kind import REPORT_CLASSES

logger = logging.getLogger(__name__)

_OUR_UIDS = "2.25."  # and those of others: what a report is, its content says
_MOST_REPORTS, _LARGEST_REPORT = 64, 16 << 20
_MOST_FAILURES, _MOST_STUDIES = 3, 1000
_FETCH_SECONDS, _REST_SECONDS = 60.0, 600.0


class EarlierReports:
    """Asks an archive for structured reports of a study. One thread uses it.

    An archive that fails is asked again a little later, and after three failures its answer is done without: reports
    then name only what this folder remembers, and the log says so. For ten minutes it is not asked again.

    Parameters
    ----------
    archive
        Where reports are stored.
    memory
        What this folder remembers, and need not be fetched.
    pause
        Seconds until it is asked again.
    """

    def __init__(self, archive: Source, memory: Memory, pause: float) -> None:
        self._archive, self._memory, self._pause = archive, memory, pause
        self._failures: OrderedDict[str, int] = OrderedDict()
        self._rests_until = 0.0

    def interrupt(self) -> None:
        """End the call under way, from another thread."""
        self._archive.interrupt()

    @contextmanager
    def fetched(self, study: str, folder: Path) -> Iterator[None]:
        """A block during which what may be earlier reports on a study lies in ``folder``, which then is removed.

        Raises
        ------
        NotYetError
            The archive does not answer now.
        OSError
            They cannot be written.
        """
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        try:
            self._fetch_or_wait(study, folder)
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch_or_wait(self, study: str, folder: Path) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            self._fetch(study, folder)
        except (UnavailableError, UncertainError, FailedError) as error:
            failures = self._failures.pop(study, 0) + 1
            if failures < _MOST_FAILURES:
                self._failures[study] = failures
                if len(self._failures) > _MOST_STUDIES:
                    self._failures.popitem(last=False)
                raise NotYetError(f"earlier reports on its study cannot be looked for ({error})", self._pause) from None
            self._rests_until = time.monotonic() + _REST_SECONDS
            logger.warning("earlier reports cannot be looked for (%s): new ones do not name them as replaced", error)
        else:
            self._failures.pop(study, None)

    def _fetch(self, study: str, folder: Path) -> None:
        instances, _ = self._archive.instances(study, "SR")
        wanted = [one for one in instances if self._may_be_ours(one)]
        if len(wanted) > _MOST_REPORTS:
            logger.warning("a study has %d structured reports; the last %d are read", len(wanted), _MOST_REPORTS)
        end = time.monotonic() + _FETCH_SECONDS  # of all: meanwhile nothing is analysed
        for number, one in enumerate(wanted[-_MOST_REPORTS:]):
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / f"{number}.dcm"
            with self._archive.fetch(one.study, one.series, one.sop_instance) as blocks, path.open("wb") as stream:
                for block in blocks:
                    if time.monotonic() > end:
                        raise UncertainError(f"{self._archive} takes longer than {_FETCH_SECONDS:g} s for them")
                    stream.write(block)
                    if stream.tell() > _LARGEST_REPORT:
                        break  # none of ours is so large: what is cut off is not recognised

    def _may_be_ours(self, one: Instance) -> bool:
        is_report = one.sop_class in REPORT_CLASSES and one.sop_instance.startswith(_OUR_UIDS)
        return is_report and not self._memory.knows_report(one.sop_instance)
