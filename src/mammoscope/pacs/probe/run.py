"""Go through the chain with a synthetic exam: a link counts as working only once the exam has passed it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.breaker import LONGEST_PEER_PAUSE
from mammoscope.pacs.probe.dicom_peer import DicomPeer
from mammoscope.pacs.probe.exam import PATIENT_ID, new_uid, probe_exam
from mammoscope.pacs.probe.peer import Peer, Reports
from mammoscope.pacs.probe.service import Broken, Link, Service
from mammoscope.pacs.probe.web_peer import WebPeer
from mammoscope.pacs.settings import Node, Target
from mammoscope.peers.tls import Tls

_POLL_SECONDS, _LISTED_SECONDS = 0.5, 10.0
_SETTLE_SECONDS, _REMOVALS = 2.0, 3  # a segmentation may come a moment after its report

T = TypeVar("T")


def peer_of(target: Target, title: str, tls: Tls | None) -> Peer:
    """The system at a target; ``title`` is ours, and ``tls`` for a DICOM application, None: unencrypted."""
    if isinstance(target, Node):
        return DicomPeer(target, title, None if tls is None else tls.for_calling())
    return WebPeer(target)


@dataclass
class Outcome:
    """What was seen.

    Attributes
    ----------
    study
        Study Instance UID of the exam.
    works
        The links that the exam has passed, with what showed it.
    broken
        The link at which it is held up; None: it came through.
    stays
        What is left of it, and where.
    """

    study: str
    works: dict[Link, str] = field(default_factory=dict)
    broken: Broken | None = None
    stays: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """As text, a line for each link in the order of the chain."""
        found = []
        for link in Link:
            if self.broken is not None and link is self.broken.link:
                found.append(f"{link}: BROKEN: {self.broken.problem}")
            else:
                found.append(f"{link}: works: {self.works[link]}" if link in self.works else f"{link}: not proved")
        return found + [f"stays: {what}" for what in self.stays]

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "verdict": "well" if self.broken is None else "broken",
            "broken": None if self.broken is None else {"link": self.broken.link, "problem": self.broken.problem},
            "works": {str(link): self.works[link] for link in Link if link in self.works},
            "not_proved": [
                str(link)
                for link in Link
                if link not in self.works and (self.broken is None or link is not self.broken.link)
            ],
            "patient_id": PATIENT_ID,
            "study": self.study,
            "stays": self.stays,
        }


class Probe:
    """One exam on its way.

    Parameters
    ----------
    target
        Where the exam is stored: a receiver, or the server that is watched.
    results
        Where its results are looked for; the same object as ``target`` where that is watched.
    service
        What is seen of the service between them.
    within
        Seconds from when the exam is stored until its results must be found.
    steady, failing
        Seconds after which results that are as many are what there is, and a link that fails is named.
    """

    def __init__(
        self,
        target: Peer,
        results: Peer,
        service: Service,
        within: float,
        *,
        steady: float = 10.0,
        failing: float = LONGEST_PEER_PAUSE + 5.0,  # before, a system that works again may not have been asked
    ) -> None:
        self._steady, self._failing = steady, failing
        self._target, self._results, self._service, self._within = target, results, service, within
        self._is_watched = target is results
        self._study = new_uid()
        self._images: list[str] = []
        self._outcome = Outcome(self._study)

    def run(self) -> Outcome:
        """Send the exam, wait for its results, and remove what can be removed."""
        try:
            self._outcome.broken = self._send() or self._wait()
        finally:
            if self._images:
                self._clean_up()
        return self._outcome

    def _send(self) -> Broken | None:
        link = Link.SEARCH
        try:
            self._results.search(self._study)
            self._outcome.works[link] = f"{self._results} answers a search"
            link = Link.CONNECTION
            self._target.reach()
            self._outcome.works[link] = f"{self._target} answers"
            if (absence := self._service.absence()) is not None:
                return absence
            link = Link.STORE
            exam = probe_exam(self._study, datetime.now())
            self._images = [str(image.SOPInstanceUID) for image in exam]
            self._target.store(exam)
            if self._is_watched and not self._is_listed():
                return Broken(link, f"{self._target} took the exam, and a search does not find it")
            self._outcome.works[link] = f"{self._target} took {len(exam)} images"
        except MammoscopeError as error:
            return Broken(link, str(error))
        return None

    def _is_listed(self) -> bool:
        end = time.monotonic() + _LISTED_SECONDS
        while not (listed := self._target.lists(self._study, self._images)) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return listed

    def _wait(self) -> Broken | None:
        end, growing = time.monotonic() + self._within, _Lasting(0)
        stored, failing = _Lasting(False), _Lasting[Link | None](None)
        while True:
            passed, broken = self._service.where(self._images)
            for link in passed:
                self._outcome.works[link] = "the queue of the service says so"
            problem = None
            try:
                reports = self._results.reports(self._study)
                if self._are_all_found(reports, growing, is_all_sent=Link.RESULTS_STORE in passed):
                    self._came_through(reports)
                    return None
            except MammoscopeError as error:
                problem = str(error)
            if broken is not None and broken.is_final:
                return broken
            stored.note(Link.RESULTS_STORE in passed)
            failing.note(broken.link if broken is not None and broken.has_failed else None)
            is_over = time.monotonic() >= end or (stored.value and stored.has_lasted(self._steady))
            if is_over or (failing.value is not None and failing.has_lasted(self._failing)):
                return broken or self._unexplained(growing.value, problem)
            time.sleep(_POLL_SECONDS)

    def _are_all_found(self, reports: Reports, growing: _Lasting[int], *, is_all_sent: bool) -> bool:
        if reports.images is not None:
            growing.note(len(reports.images & set(self._images)))
            return reports.images >= set(self._images)
        growing.note(reports.number)
        is_steady = is_all_sent or growing.has_lasted(self._steady)
        return reports.number >= len(self._images) or (reports.number > 0 and is_steady)

    def _came_through(self, reports: Reports) -> None:
        through = "the results of the exam are found"
        for link in (Link.SERVICE, Link.PICKUP, Link.ANALYSIS, Link.RESULTS_STORE):
            self._outcome.works.setdefault(link, through)
        about = "which do not say here of which images" if reports.images is None else f"of {len(self._images)} images"
        self._outcome.works[Link.RESULTS] = f"{self._results} has {reports.number} structured reports, {about}"

    def _unexplained(self, found: int, problem: str | None) -> Broken:
        """No link is seen to fail, and not all results are there."""
        many = f"results of {found} of {len(self._images)} images" if found else "no results"
        if problem is not None:
            return Broken(Link.RESULTS, f"they cannot be looked for: {problem}")
        if Link.RESULTS_STORE in self._outcome.works:
            return Broken(
                Link.RESULTS, f"the service has stored them, and {self._results} has {many}: another archive?"
            )
        if not self._service.is_seen:
            where = "give --data or --monitor to see which link it is"
        elif self._is_watched:
            where = "the service says that its links work: does it watch this server, and look often enough (--every)?"
        else:
            where = "the service says that its links work: does it send its results there?"
        link = Link.PICKUP if self._is_watched and not found else Link.RESULTS
        return Broken(link, f"{self._results} has {many} after {self._within:g} s; {where}")

    def _clean_up(self) -> None:
        if self._outcome.broken is None:
            time.sleep(_SETTLE_SECONDS)
        for peer in {self._results, self._target} if self._is_watched else {self._results}:
            for _ in range(_REMOVALS):
                if (reason := peer.remove(self._study)) is not None:
                    self._outcome.stays.append(f"study {self._study} at {peer}: {reason}")
                    break
        stays = "in the queue of the service, the UIDs and states of the images"
        if dead := self._service.dead_letters(self._images):
            stays += f"; {dead} are dead letters: see 'mammoscope pacs dead'"
        if self._outcome.broken is not None:
            stays += "; what it makes of them later stays as well"
        self._outcome.stays.append(stays)


class _Lasting(Generic[T]):
    """A value, and whether it has been the same for long."""

    def __init__(self, value: T) -> None:
        self.value, self._since = value, time.monotonic()

    def note(self, value: T) -> None:
        if value != self.value:
            self.value, self._since = value, time.monotonic()

    def has_lasted(self, seconds: float) -> bool:
        return time.monotonic() >= self._since + seconds
